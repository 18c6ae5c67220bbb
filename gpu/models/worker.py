"""The worker for local models as mkbc talks to it: a process, two pipes, frames of a length and JSON (docs/workers.md)."""
import json
import os
import subprocess
import tempfile


class Failed(Exception):
    pass


class Worker:
    def __init__(self, program, weights, device, bits="16"):
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self.log = tempfile.TemporaryFile()
        options = ["--device", device] + (["--bits", bits] if device != "cpu" else [])
        self.process = subprocess.Popen([program, "serve", str(theirs_in), str(theirs_out), weights, str(64 << 20)] + options,
                                        pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stderr=self.log)
        os.close(theirs_in)
        os.close(theirs_out)
        self.to, self.since = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        self.ready = self._reply()

    def _reply(self):
        length = self.since.read(4)
        if len(length) < 4:
            self.log.seek(0)
            raise Failed("the worker ended: " + self.log.read().decode(errors="replace")[-500:].strip())
        reply = json.loads(self.since.read(int.from_bytes(length, "big")))
        if "error" in reply:
            raise Failed("%(type)s: %(message)s" % reply["error"])
        return reply

    def ask(self, function, arguments, **options):
        request = {"function": function, "arguments": arguments, "options": {k: str(v) for k, v in options.items()}, "folder": "/", "mark": "-"}
        body = json.dumps(request).encode()
        self.to.write(len(body).to_bytes(4, "big") + body)
        self.to.flush()
        return self._reply()["value"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.to.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
