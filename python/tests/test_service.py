"""The client of a server, against a real `mkbc serve` with tools that echo, fail and sleep. (One test has a FAKE server, which redirects.)"""

import hashlib
import http.server
import pathlib
import re
import subprocess
import tempfile
import threading
import unittest
from typing import Any, List, Optional

import built
import murakkab

LIBRARY = """
/// Tools that are programs, made for these tests.
task say(text: Text, times: List[Int], more: Text?) -> Text {
  size tokens = 9 tok
}
task nap(text: Text) -> Text {
  size tokens = 9 tok
}
task fail(text: Text) -> Text {
  size tokens = 9 tok
}
task show(file: Document) -> Text {
  size tokens = 9 tok
}
task keep(file: Document) -> Document {
}
tool sayer implements say {
  runs on cpu * 1
  engine process { command ["echo", "said {text} {times}"] }
  profile "fake.csv"
}
tool sleeper implements nap {
  runs on cpu * 1
  engine process { command ["sleep", "60"] }
  profile "fake.csv"
}
tool failer implements fail {
  runs on cpu * 1
  engine process { command ["sh", "-c", "echo no good >&2; exit 3"] }
  profile "fake.csv"
}
tool shower implements show {
  runs on cpu * 1
  engine process { command ["cat", "{file}"] }
  profile "fake.csv"
}
tool keeper implements keep {
  runs on cpu * 1
  engine process {
    command ["sh", "-c", "cp $0 $1/made.pgm && printf '{\\"file\\": \\"%s/made.pgm\\"}' $1", "{file}", "{out}"]
    read json
  }
  profile "fake.csv"
}
"""
PROFILE = (
    "device,units,figure,value,unit,low,high,evidence,source\ncpu,,latency,0.1,s,,,estimated,made for tests\n"
    ",,quality,90,%,,,estimated,made for tests\n"
)
SAY = "use house\n\njob talk(text: Text, times: List[Int], more: Text?) -> Text {\n  say(text, times, more)\n}\n"
NAP = "use house\n\njob rest(text: Text) -> Text {\n  nap(text)\n}\n"
FAIL = "use house\n\njob bad(text: Text) -> Text {\n  fail(text)\n}\n"
SHOW = "use house\n\njob look(pages: List[Document]) -> List[Text] {\n  expect pages * 2\n  for page in pages {\n    show(page)\n  }\n}\n"
KEEP = "use house\n\njob hold(page: Document) -> Document {\n  keep(page)\n}\n"
PAGE = b"P5\n1 1\n255\nA"


class Server(unittest.TestCase):
    """A real server with two tenants; one for all tests."""

    process: "subprocess.Popen[str]"
    folder: pathlib.Path
    tokens: List[str]
    at: str

    @classmethod
    def setUpClass(cls) -> None:
        built.needed()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "lib" / "profiles").mkdir(parents=True)
        (cls.folder / "lib" / "house.mkb").write_text(LIBRARY)
        (cls.folder / "lib" / "profiles" / "fake.csv").write_text(PROFILE)
        cls.tokens, entries = [], []
        for name in ("one", "two"):
            made = subprocess.run([str(built.PROGRAM), "serve", "--new-token", name], capture_output=True, text=True, check=True)
            entries.append(made.stdout)
            found = re.search(r"[A-Za-z0-9_-]{40,}", made.stderr)
            assert found is not None, made.stderr
            cls.tokens.append(found.group())
        (cls.folder / "tokens.toml").write_text("".join(entries))
        (cls.folder / "tokens.toml").chmod(0o600)
        words = [str(built.PROGRAM), "serve", "--addr", "127.0.0.1:0", "--library", "lib", "--tokens", "tokens.toml", "--grace", "1"]
        log = open(cls.folder / "serve.log", "w")
        cls.addClassCleanup(log.close)
        cls.process = subprocess.Popen(words, cwd=cls.folder, stdout=subprocess.PIPE, stderr=log, text=True)
        cls.addClassCleanup(cls.end)
        assert cls.process.stdout is not None
        said = cls.process.stdout.readline().strip()
        assert said.startswith("serving http://"), said + (cls.folder / "serve.log").read_text()
        cls.at = said.split()[1]

    @classmethod
    def end(cls) -> None:
        cls.process.terminate()
        cls.process.wait(30)
        if cls.process.stdout is not None:
            cls.process.stdout.close()

    def run_job(self, source: str, inputs: Any, token: Optional[str] = None, **more: Any) -> murakkab.Answer:
        return murakkab.run(source, inputs, service=self.at, token=token or self.tokens[0], **more)

    def test_an_answer(self) -> None:
        answer = self.run_job(SAY, {"text": "--a b", "times": [1, 2], "more": None}, name="talk")
        self.assertTrue(answer.value.startswith("said --a b"), answer.value)
        self.assertGreater(answer.wall_s, 0)
        self.assertIsNotNone(answer.cost_usd)
        self.assertIsNone(answer.folder)
        with self.assertRaises(murakkab.Error):
            answer.plan

    def test_a_key_is_one_run(self) -> None:
        inputs = {"text": "once", "times": []}
        runs = [murakkab.start(SAY, inputs, key="once", service=self.at, token=self.tokens[0]) for _ in range(2)]
        self.assertEqual(runs[0].id, runs[1].id)
        self.assertEqual(runs[0].wait().value, runs[1].wait(60).value)
        with self.assertRaises(murakkab.Error) as raised:
            self.run_job(SAY, {"text": "twice", "times": []}, key="once")
        self.assertIn("once", str(raised.exception))
        # Keys are each tenant's own.
        other = self.run_job(SAY, {"text": "twice", "times": []}, token=self.tokens[1], key="once")
        self.assertTrue(other.value.startswith("said twice"), other.value)

    def test_files_go_along_by_their_content_and_come_back_by_their_address(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "a.pgm")
            path.write_bytes(PAGE)
            answer = self.run_job(SHOW, {"pages": [murakkab.Document(path), path]})
            self.assertEqual([text.strip() for text in answer.value], [PAGE.decode()] * 2)
            job = pathlib.Path(folder, "job.mkb")
            job.write_text(KEEP)
            kept = self.run_job(str(job), {"page": path})
        self.assertIn("url", kept.value)
        blobs = [hashlib.sha256(file.read_bytes()).hexdigest() for file in self.folder.rglob("*") if file.is_file()]
        self.assertIn(hashlib.sha256(PAGE).hexdigest(), blobs)

    def test_why_there_is_no_answer(self) -> None:
        with self.assertRaises(murakkab.Error) as raised:
            self.run_job(SAY.replace("say(text,", "say(txt,"), {"text": "a", "times": []})
        (first, *_) = raised.exception.diagnostics
        self.assertEqual((first.severity, first.line), ("error", 4))
        self.assertRegex(str(raised.exception), r"job\.mkb:4:\d+: error\[E\d+\]")
        with self.assertRaises(murakkab.Error) as raised:
            self.run_job(FAIL, {"text": "a"})
        self.assertIn("no good", str(raised.exception))
        for inputs in ({"text": "a"}, {"text": "a", "times": ["x"]}, {"text": "a", "times": [], "tests": 1}):
            with self.assertRaises(murakkab.Error):
                self.run_job(SAY, inputs)
        with self.assertRaises(murakkab.Error) as raised:
            self.run_job("nowhere.mkb", {})
        self.assertIn("nowhere.mkb", str(raised.exception))
        with self.assertRaises(murakkab.Error) as raised:
            murakkab.run(SAY, service="http://127.0.0.1:9")
        self.assertIn("does not answer", str(raised.exception))

    def test_a_long_run_is_left(self) -> None:
        with murakkab.start(NAP, {"text": "a"}, service=self.at, token=self.tokens[0]) as run:
            self.assertTrue(run.running)
            with self.assertRaises(TimeoutError):
                run.wait(0.5)
        with self.assertRaises(murakkab.Stopped):
            run.wait(60)
        self.assertFalse(run.running)

    def test_a_token_opens_what_is_its_own(self) -> None:
        for wrong in ("f" * 43, ""):
            with self.assertRaises(murakkab.Error) as raised:
                murakkab.run(SAY, {"text": "a", "times": []}, service=self.at, token=wrong)
            self.assertNotIn("said", str(raised.exception))
        self.assertNotIn(self.tokens[0], (self.folder / "serve.log").read_text())

    def test_what_a_server_decides_is_not_asked_of_it(self) -> None:
        for more in ({"library": ["lib"]}, {"project": "."}, {"env": {"A": "b"}}):
            with self.assertRaises(ValueError):
                self.run_job(SAY, {"text": "a", "times": []}, **more)

    def test_limits_go_along(self) -> None:
        self.assertIsNotNone(self.run_job(SAY, {"text": "a", "times": []}, slo={"cost": "1 usd"}).value)
        with self.assertRaises(murakkab.Error) as raised:
            self.run_job(SAY, {"text": "a", "times": []}, slo={"cost": "1 usd", "quality": "101 %"})
        self.assertTrue(raised.exception.diagnostics)


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A FAKE server that sends everybody to another one, which a real one never does."""

    seen: List[str] = []

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append(self.path)
        self.send_response(307)
        self.send_header("Location", f"http://{self.headers.get('Host')}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()


class Token(unittest.TestCase):
    def test_a_token_stays_with_its_server(self) -> None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        with self.assertRaises(murakkab.Error):
            murakkab.run(SAY, service=f"http://127.0.0.1:{server.server_address[1]}", token="secret")
        self.assertEqual(Elsewhere.seen, ["/v1/runs"])
        for address in ("http://example.org", "ftp://127.0.0.1", "127.0.0.1:7411"):
            with self.assertRaises(ValueError):
                murakkab.run(SAY, service=address, token="secret")


if __name__ == "__main__":
    unittest.main()
