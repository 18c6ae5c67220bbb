"""Stands before a server of chat completions and lets no two prompts begin alike, so that none is answered from what it has read before.

    unlike_prompts.py PORT URL      listens on 127.0.0.1:PORT; says `listening` when it does

Each first message gets a number of its own in front. Answers are handed on as they come.
"""

import http.server
import itertools
import json
import sys
import urllib.request

numbers = itertools.count(7919, 104729)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        first = body["messages"][0]
        first["content"] = f"{next(numbers)} {first['content']}"
        asked = urllib.request.Request(sys.argv[2] + self.path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(asked) as answer:
            self.send_response(answer.status)
            self.send_header("content-type", answer.headers["content-type"])
            self.end_headers()
            while piece := answer.read1():
                self.wfile.write(piece)
                self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("listening", flush=True)
server.serve_forever()
