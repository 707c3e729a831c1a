"""One node that knows every request of docs/clients.md, with mistakes on request.

Usage: store.py IP PORT [MISTAKE]

One JSON object a line, over TCP. A lock ends with its connection, and no later.
"""
import json
import socketserver
import sys
import threading
import time

ip, port, mistake = sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""
keys, changes, holders, tokens = {}, [], {}, [0]
turn = threading.Condition()


class Refused(Exception):
    pass


def single(request):
    """A request of one key, under the lock of all."""
    op, key = request["op"], request["key"]
    if op in ("get", "peek"):
        return 7 if op == "peek" and mistake == "peek" else keys.get(key)
    if op == "cas" and keys.get(key) != request["from"]:
        raise Refused(keys.get(key))
    if op == "delete":
        keys.pop(key, None)
    elif op == "append":
        held = keys.get(key) or ""
        keys[key] = request["text"] + held if mistake == "append" else held + request["text"]
    else:
        keys[key] = request["to"] if op == "cas" else request["value"]
        changes.append({"revision": len(changes) + 1, "key": key, "value": keys[key]})
    return len(changes) if op == "publish" else None


def transact(requests):
    before = dict(keys)
    try:
        return [single(request) for request in requests]
    except Refused:
        if mistake != "txn":
            keys.clear()
            keys.update(before)
        raise


def watch(request):
    shown = [change for change in changes if change["key"].startswith(request["prefix"])]
    shown = [change for change in shown if change["revision"] >= request["from"]]
    if mistake == "watch":
        shown = shown[1:]
    return {"changes": shown, "next": len(changes) + 1, "end": "complete"}


def hold(request, who):
    key, until = request["key"], time.monotonic() + request["wait_ms"] / 1000
    while holders.get(key) not in (None, who) and mistake != "shared":
        if not turn.wait(until - time.monotonic()) and time.monotonic() >= until:
            return {"fail": "somebody else holds it"}
    holders[key] = who
    tokens[0] += 0 if mistake == "token" else 1
    return {"ok": None if mistake == "no-token" else tokens[0]}


def carry_out(request, who):
    op = request["op"]
    with turn:
        try:
            if op == "lock":
                return hold(request, who)
            if op == "unlock":
                if mistake != "unlock":
                    holders.pop(request["key"], None)
                turn.notify_all()
                return {"ok": None}
            if op == "watch":
                return {"ok": watch(request)}
            if op == "txn":
                return {"ok": transact(request["requests"])}
            if op in ("get", "put", "cas", "append", "delete", "peek", "publish"):
                return {"ok": single(request)}
            return {"fail": "no such operation"}
        except Refused as saw:
            return {"refused": saw.args[0]}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            for line in self.rfile:
                answer = json.dumps(carry_out(json.loads(line), self)) + "\n"
                self.wfile.write(answer.encode())
        finally:
            with turn:
                for key in [key for key, who in holders.items() if who is self and mistake != "for-ever"]:
                    holders.pop(key)
                turn.notify_all()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server((ip, port), Handler).serve_forever()
