"""A small store that is replicated and wrong: every node answers reads from its own copy, and the copies follow later.

Usage: store.py NAME IP PORT DELAY NODES   (NODES: ip:port of all, separated by commas)

A write goes to the first node (it orders all writes) and from there to the others, after DELAY seconds. One line of JSON
a request, one an answer, over TCP.
"""
import json
import socket
import socketserver
import sys
import threading
import time

name, ip, port, delay = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
peers = [(host, int(p)) for host, p in (peer.rsplit(":", 1) for peer in sys.argv[5].split(","))]
first = peers[0]
copy, lock = {}, threading.Lock()


def ask(peer, request):
    with socket.create_connection(peer, timeout=1) as link:
        link.sendall((json.dumps(request) + "\n").encode())
        return json.loads(link.makefile().readline())


def follow(key, value):
    """The bug: the writer is answered before this is done."""
    time.sleep(delay)
    for peer in peers[1:]:
        try:
            ask(peer, {"op": "copy", "key": key, "value": value})
        except OSError:
            pass


def carry_out(request):
    op, key = request["op"], request["key"]
    if op == "get":
        with lock:
            return {"ok": copy.get(key)}
    if op == "copy":
        with lock:
            copy[key] = request["value"]
        return {"ok": None}
    if (ip, port) != first:
        return ask(first, request)
    with lock:
        if op == "cas" and copy.get(key) != request["from"]:
            return {"refused": copy.get(key)}
        value = request["to"] if op == "cas" else request["value"]
        copy[key] = value
    threading.Thread(target=follow, args=(key, value), daemon=True).start()
    return {"ok": None}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            try:
                answer = carry_out(json.loads(line))
            except OSError as error:
                answer = {"info": str(error)}
            self.wfile.write((json.dumps(answer) + "\n").encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


print(name, "serves", flush=True)
Server((ip, port), Handler).serve_forever()
