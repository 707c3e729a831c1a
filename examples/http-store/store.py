"""A small store that speaks HTTP: the first node holds all keys, the others pass requests on and may remember answers.

Usage: store.py IP PORT NODES SECONDS   (NODES: ip:port of all, separated by commas; SECONDS: how long answers are kept)

With 0 seconds it is right. With more, a node answers a GET from what it remembers, though others have written since.
"""
import http.client
import http.server
import json
import sys
import threading
import time
import urllib.parse

ip, port, first, memory = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")[0], float(sys.argv[4])
keys, remembered, lock = {}, {}, threading.Lock()


def carry_out(method, key, body):
    """The status and the body of an answer."""
    with lock:
        held = keys.get(key)
        if method == "GET":
            return (404, {}) if held is None else (200, {"value": held})
        if method == "POST" and held != body["from"]:
            return 409, {"value": held}
        if method == "DELETE":
            keys.pop(key, None)
        else:
            keys[key] = body["value"] if method == "PUT" else body["to"]
        return 200, {}


def pass_on(method, path, text):
    """Asks the first node, or, and that is the bug, remembers what it said a while ago."""
    known = remembered.get(path)
    if method == "GET" and known and time.monotonic() - known[0] < memory:
        return known[1]
    link = http.client.HTTPConnection(first, timeout=2)
    link.request(method, path, text)
    answer = link.getresponse()
    said = answer.status, json.loads(answer.read())
    if method == "GET":
        remembered[path] = time.monotonic(), said
    return said


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if f"{ip}:{port}" == first:
            body = json.loads(text) if text else None
            status, said = carry_out(self.command, urllib.parse.unquote(self.path), body)
        else:
            try:
                status, said = pass_on(self.command, self.path, text)
            except (OSError, http.client.HTTPException) as error:
                # The first node may have done it.
                status, said = 502, {"error": str(error)}
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((ip, port), Handler).serve_forever()
