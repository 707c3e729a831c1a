"""A client of store.py for Elenchus: reads a request a line, answers a line. See docs/clients.md."""
import json
import socket
import sys


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=2).makefile("rw")


def carry_out(link, request):
    if request["op"] not in ("get", "put", "cas"):
        return {"fail": "this store knows get, put and cas"}
    try:
        link.write(json.dumps(request) + "\n")
        link.flush()
        line = link.readline()
    except OSError as error:
        # It may have been carried out: a doubt.
        return {"info": str(error)}
    return json.loads(line) if line else {"info": "the store hung up"}


link = None
for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "open":
        try:
            link = connect(request["addresses"]["client"])
            answer = {"ok": None}
        except OSError as error:
            answer = {"fail": str(error)}
    else:
        answer = carry_out(link, request)
    print(json.dumps({"id": request["id"], **answer}), flush=True)
