"""The client of a server, against a FAKE server: it knows the addresses and answers of `mkbc serve`, and runs nothing."""

import hashlib
import http.server
import json
import pathlib
import tempfile
import threading
import unittest
from typing import Any, Dict, List, Optional, Tuple

import murakkab

PLACE = {"file": "job.mkb", "start": 0, "end": 1, "line": 3, "column": 4, "end_line": 3, "end_column": 5}
DIAGNOSTIC = {"code": "E0203", "severity": "error", "message": "odd", "primary": {"place": PLACE, "text": ""}, "help": "look"}


class Fake(http.server.BaseHTTPRequestHandler):
    """What a server would say. `states` are those that a run goes through, one each time somebody asks for its result."""

    states: List[str] = []
    seen: List[Tuple[str, str, Optional[str]]] = []
    submitted: List[Dict[str, Any]] = []

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, told: Any, **headers: str) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str, **more: Any) -> None:
        self.answer(status, {"error": {"code": code, "message": message, **more}})

    def handle_one(self) -> None:
        self.seen.append((self.command, self.path, self.headers.get("Authorization")))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        if path == "/v1/blobs":
            self.answer(201, {"blob": hashlib.sha256(body).hexdigest(), "bytes": len(body)})
        elif path == "/v1/runs":
            submission = json.loads(body)
            self.submitted.append(submission)
            if "odd" in submission["source"]:
                return self.refuse(422, "diagnostics", "the source has errors", diagnostics=[DIAGNOSTIC])
            if "elsewhere" in submission["source"]:
                return self.answer(307, {}, Location="http://127.0.0.1:9/v1/runs")
            self.answer(202, {"id": 7, "state": "queued"})
        elif path == "/v1/runs/7/cancel":
            self.states[:] = ["cancelled"]
            self.answer(200, {"draining": False})
        elif path == "/v1/runs/7/result":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            if state == "done":
                return self.answer(200, {"id": 7, "result": "the answer", "cost_usd": 0.5, "took_s": 2.5})
            self.states.insert(0, state) if state in ("failed", "cancelled") else None
            self.refuse(409, "no_result", f"the run has no answer: it is {state}")
        elif path == "/v1/runs/7":
            self.answer(200, {"id": 7, "state": self.states[0], "error": "step `a` failed"})
        else:
            self.refuse(404, "not_found", "there is no such thing")

    do_GET = do_POST = do_PUT = handle_one


class Server(unittest.TestCase):
    def setUp(self) -> None:
        Fake.states, Fake.seen, Fake.submitted = ["done"], [], []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fake)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.at = f"http://127.0.0.1:{server.server_address[1]}"

    def run_job(self, source: str = "job a() -> Text { x() }", inputs: Any = None, **more: Any) -> murakkab.Answer:
        return murakkab.run(source, inputs, service=self.at, **more)

    def test_an_answer(self) -> None:
        Fake.states = ["queued", "running", "done"]
        answer = self.run_job(inputs={"text": "t", "left": None, "n": [1, 2]}, name="a", key="k", token="secret")
        self.assertEqual((answer.value, answer.cost_usd, answer.wall_s, answer.folder), ("the answer", 0.5, 2.5, None))
        source = "job a() -> Text { x() }"
        self.assertEqual(Fake.submitted, [{"source": source, "inputs": {"text": "t", "n": [1, 2]}, "job": "a", "key": "k"}])
        self.assertTrue(all(seen[2] == "Bearer secret" for seen in Fake.seen))
        with self.assertRaises(murakkab.Error):
            answer.plan

    def test_files_go_along_by_their_content(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "a.txt")
            path.write_bytes(b"abc")
            digest = hashlib.sha256(b"abc").hexdigest()
            self.run_job(inputs={"pages": [murakkab.Document(path), path], "name": str(path)})
            job = pathlib.Path(folder, "job.mkb")
            job.write_text("job b() -> Text { y() }")
            murakkab.run(job, service=self.at)
        self.assertEqual(Fake.submitted[0]["inputs"], {"pages": [{"blob": digest}] * 2, "name": str(path)})
        self.assertEqual(Fake.submitted[1]["source"], "job b() -> Text { y() }")

    def test_why_there_is_no_answer(self) -> None:
        with self.assertRaises(murakkab.Error) as raised:
            self.run_job("job odd() -> Text { }")
        self.assertEqual([(d.code, d.line) for d in raised.exception.diagnostics], [("E0203", 3)])
        self.assertIn("job.mkb:3:4: error[E0203]: odd\n  help: look", str(raised.exception))
        Fake.states = ["running", "failed"]
        with self.assertRaises(murakkab.Error) as raised:
            self.run_job()
        self.assertEqual(str(raised.exception), "step `a` failed")
        with self.assertRaises(murakkab.Error) as raised:
            murakkab.run("nowhere.mkb", service=self.at)
        self.assertIn("nowhere.mkb", str(raised.exception))
        with self.assertRaises(murakkab.Error) as raised:
            murakkab.run("job a() -> Text { x() }", service="http://127.0.0.1:9")
        self.assertIn("does not answer", str(raised.exception))

    def test_a_long_run_is_left(self) -> None:
        Fake.states = ["running"]
        with murakkab.start("job a() -> Text { x() }", service=self.at) as run:
            self.assertTrue(run.running)
            with self.assertRaises(TimeoutError):
                run.wait(0.1)
        self.assertIn("/v1/runs/7/cancel", [seen[1] for seen in Fake.seen])
        with self.assertRaises(murakkab.Stopped):
            run.wait()

    def test_a_token_stays_with_its_server(self) -> None:
        with self.assertRaises(murakkab.Error):
            self.run_job("job elsewhere() -> Text { }", token="secret")
        self.assertEqual(len(Fake.seen), 1)
        for address in ("http://example.org", "ftp://127.0.0.1", "127.0.0.1:7411"):
            with self.assertRaises(ValueError):
                murakkab.run("job a() -> Text { }", service=address, token="secret")

    def test_what_a_server_decides_is_not_asked_of_it(self) -> None:
        for more in ({"slo": {"cost": "1 usd"}}, {"library": ["lib"]}, {"project": "."}, {"env": {"A": "b"}}):
            with self.assertRaises(ValueError):
                self.run_job(**more)
        self.assertEqual(Fake.seen, [])


if __name__ == "__main__":
    unittest.main()
