#!/usr/bin/env python3
"""A FAKE model server: it answers HTTP as vLLM and its like do, and there is no model behind it.

It is started by the command line of a real server, and does what the JSON behind `--fake` says:

    record      a file to which a line of JSON is added for its start and for each request
    start_s     seconds until it listens
    die         it ends at once, and says why
    crash       a file: a chat that says `crash` kills the server, once, or always where the file cannot be made
    hang        a file: a chat that says `hang` is not answered for a minute, once
    child       it starts a process in a session of its own, which sleeps so many seconds
    stubborn    it does not end when it is asked to
    deaf        it never answers whether it is there

A chat that says `slow`, `fail`, `garbage`, `big` or `drip` is answered like that.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARGUMENTS = sys.argv[1:]
FAKE = json.loads(ARGUMENTS[ARGUMENTS.index("--fake") + 1]) if "--fake" in ARGUMENTS else {}
KEY = next((os.environ[k] for k in ("VLLM_API_KEY", "LLAMA_API_KEY", "API_KEY") if k in os.environ), None)


def record(**what):
    if "record" in FAKE:
        with open(FAKE["record"], "a") as file:
            file.write(json.dumps({"pid": os.getpid(), **what}) + "\n")


def first(path):
    """Whether this is the first that asks for a file, which there is afterwards."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False
    except OSError:
        return True


def port():
    if "--port" in ARGUMENTS:
        return int(ARGUMENTS[ARGUMENTS.index("--port") + 1])
    return int(os.environ["OLLAMA_HOST"].rsplit(":", 1)[1])


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def say(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def parts(self, parts, pause):
        """A body of which nobody says how long it is."""
        self.send_response(200)
        self.end_headers()
        try:
            for part in parts:
                self.wfile.write(part)
                time.sleep(pause)
        except OSError:
            pass

    def do_GET(self):
        if "deaf" in FAKE:
            time.sleep(60)
        self.say(200, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/v1/") and KEY and self.headers.get("Authorization") != "Bearer " + KEY:
            return self.say(401, {"error": {"message": "no key"}})
        if not self.path.startswith("/v1/"):
            record(said=self.path)
            return self.say(200, {})
        asked = json.loads(body)
        if self.path.endswith("/embeddings"):
            return self.say(200, {"data": [{"index": i, "embedding": [1.0, 0.0]} for i in range(len(asked["input"]))]})
        text = asked["messages"][-1]["content"]
        record(asked=text, model=asked["model"])
        if "crash" in text and first(FAKE["crash"]):
            print("FAKE: I was told to crash", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in text and first(FAKE["hang"]):
            time.sleep(60)
        if "slow" in text:
            time.sleep(0.3)
        if "fail" in text:
            return self.say(400, {"error": {"message": "the fake server failed as told"}})
        if "garbage" in text:
            return self.parts([b"<html>no such thing"], 0)
        if "big" in text:
            return self.parts(itertools.repeat(b"x" * (1 << 20)), 0)
        if "drip" in text:
            return self.parts(itertools.repeat(b" "), 0.1)
        self.say(200, {
            "choices": [{"message": {"role": "assistant", "content": "fake: " + text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        })


def main():
    record(start=ARGUMENTS, gpus=os.environ.get("CUDA_VISIBLE_DEVICES"), env=sorted(os.environ))
    if "die" in FAKE:
        sys.exit("FAKE: " + FAKE["die"])
    if "child" in FAKE:
        subprocess.Popen(["sleep", FAKE["child"]], start_new_session=True)
    if "stubborn" in FAKE:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: (record(end="asked to"), os._exit(0)))
    time.sleep(FAKE.get("start_s", 0))
    ThreadingHTTPServer(("127.0.0.1", port()), Handler).serve_forever()


main()
