"""The client, with a real `mkbc`. The tools are programs that echo, and say so."""

import os
import pathlib
import tempfile
import time
import unittest
from unittest import mock

import built
import murakkab
from murakkab import client

LIBRARY = """
/// Fakes with round figures, made for these tests.
task say(text: Text, times: List[Int], loud: Bool, more: Text?) -> Text {
  work text.tokens
  size tokens = text.tokens
}
task nap(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
tool cheap implements say {
  runs on cpu * 1
  engine process { command ["echo", "cheap {text} {times} {loud}"] }
  profile "cheap.csv"
}
tool dear implements say {
  runs on cpu * 1
  engine process { command ["echo", "dear {text}"] }
  profile "dear.csv"
}
tool sleeper implements nap {
  runs on cpu * 1
  engine process { command ["sleep", "30"] }
  profile "cheap.csv"
}
"""
PROFILE = (
    "device,units,figure,value,unit,low,high,evidence,source\n,,latency,{latency},s,,,estimated,made for tests\n"
    ",,quality,{quality},%,,,estimated,made for tests\n,,power,10,W,,,estimated,made for tests\n"
)
JOB = """
use house

job talk(text: Text, times: List[Int], loud: Bool, more: Text?) -> Text {
  slo { quality >= 10 % }
  minimize latency
  say(text, times, loud, more)
}
"""


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        built.needed()

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "lib" / "profiles").mkdir(parents=True)
        (self.folder / "lib" / "house.mkb").write_text(LIBRARY)
        for name, latency, quality in [("cheap", 1, 50), ("dear", 9, 90)]:
            path = self.folder / "lib" / "profiles" / f"{name}.csv"
            path.write_text(PROFILE.format(latency=latency, quality=quality))
        patched = mock.patch.dict(os.environ, {"MKBC": str(built.PROGRAM)})
        patched.start()
        self.addCleanup(patched.stop)
        self.given = {"library": [self.folder / "lib"], "project": self.folder}
        self.inputs = {"text": "--a\n b", "times": [1, 2], "loud": True, "more": None}

    def test_an_answer_with_what_it_took(self) -> None:
        answer = murakkab.run(JOB, self.inputs, **self.given)
        self.assertTrue(answer.value.startswith("cheap --a\n b"), answer.value)
        self.assertGreater(answer.wall_s, 0)
        self.assertEqual(answer.plan["job"], "talk")
        self.assertTrue(answer.folder is not None and (answer.folder / "report.json").exists())
        self.assertEqual(list(self.folder.glob("job.mkb")), [])

    def test_texts_are_data(self) -> None:
        (self.folder / "secret.txt").write_text("a secret")
        for text in ("@secret.txt", "@@secret.txt", "@"):
            answer = murakkab.run(JOB, {**self.inputs, "text": text}, **self.given)
            self.assertTrue(answer.value.startswith(f"cheap {text} "), answer.value)
        with self.assertRaises(ValueError):
            murakkab.run(JOB, {**self.inputs, "text": "a\0b"}, **self.given)

    def test_limits_change_the_plan(self) -> None:
        for slo in ({"quality": "80 %"}, {"quality": ">= 80 %"}, ["quality >= 80 %"]):
            answer = murakkab.run(JOB, self.inputs, slo, **self.given)
            self.assertTrue(answer.value.startswith("dear"), answer.value)
        # In place of the job's own: 10 % is not broken by asking for less.
        self.assertTrue(murakkab.run(JOB, self.inputs, {"quality": "1 %"}, **self.given).value.startswith("cheap"))

    def test_what_clashes_is_named(self) -> None:
        with self.assertRaises(murakkab.Error) as raised:
            murakkab.run(JOB, self.inputs, {"quality": "99 %"}, **self.given)
        codes = [d.code for d in raised.exception.diagnostics]
        self.assertIn("E0710", codes, raised.exception)
        self.assertIn("E0710", str(raised.exception))

    def test_what_is_wrong_with_a_job_is_data(self) -> None:
        with self.assertRaises(murakkab.Error) as raised:
            murakkab.run(JOB.replace("say(text,", "say(txt,"), self.inputs, **self.given)
        (first, *_) = raised.exception.diagnostics
        self.assertEqual((first.severity, first.line), ("error", 7))
        self.assertTrue(first.file.endswith("job.mkb"))

    def test_a_wrong_input_or_limit_is_named(self) -> None:
        for inputs, slo, says in [
            ({**self.inputs, "times": ["x"]}, (), "the input `times`"),
            ({"text": "a"}, (), "the inputs `times` (List[Int]), `loud` (Bool) are missing: give `times`, `loud` in `inputs`"),
            ({**self.inputs, "texts": 1}, (), "there is no input `texts`: did you mean `text`?"),
            ({**self.inputs, "zzz": 1}, (), "the job's inputs are text, times, loud, more"),
            (self.inputs, ["quality >= 80 s"], "slo:1:"),
            (self.inputs, ["let x = 1"], ""),
        ]:
            with self.assertRaises(murakkab.Error) as raised:
                murakkab.run(JOB, inputs, slo, **self.given)
            self.assertIn(says, str(raised.exception))
            self.assertTrue(str(raised.exception))
            # Options are the command line's.
            self.assertNotIn("--", str(raised.exception))

    def test_inputs_may_be_called_as_options_are(self) -> None:
        job = "use std.llm\njob named(key: Text, report: List[Text]) -> Text {\n  expect key of 100 tok\n  summarise(key)\n}\n"
        value = murakkab.run(job, {"key": "The cat sleeps. " * 10_000, "report": []}, **self.given).value
        self.assertTrue(value.startswith("The cat sleeps."), value[:100])
        value = murakkab.run(job, {"key": "One dog barks.", "report": ["b"]}, key="k", **self.given).value
        self.assertTrue(value.startswith("One dog"), value)

    def test_a_file_is_a_job_and_a_key_is_a_run(self) -> None:
        path = self.folder / "talk.mkb"
        path.write_text(JOB)
        first = murakkab.run(path, self.inputs, key="k", **self.given)
        again = murakkab.run(str(path), self.inputs, key="k", **self.given)
        self.assertEqual((first.value, first.folder), (again.value, again.folder))
        with self.assertRaises(murakkab.Error):
            murakkab.run(path, {**self.inputs, "text": "c"}, key="k", **self.given)
        with self.assertRaises(murakkab.Error) as raised:
            murakkab.run("nowhere.mkb", {}, **self.given)
        self.assertIn("nowhere.mkb", str(raised.exception))

    def test_a_long_run_is_left(self) -> None:
        job = "use house\njob slow(text: Text) -> Text {\n  nap(text)\n}\n"
        with murakkab.start(job, {"text": "a"}, **self.given) as run:
            self.assertTrue(run.running)
            with self.assertRaises(TimeoutError):
                run.wait(0.2)
            self.assertTrue(run.running)
            # It has begun: stopped before, it would have no journal.
            journal = self.folder / ".mkbc"
            until = time.monotonic() + 60
            while not list(journal.glob("runs/*")) and time.monotonic() < until:
                time.sleep(0.05)
            run.stop(grace=0)
        self.assertFalse(run.running)
        with self.assertRaises(murakkab.Stopped):
            run.wait()


class Arguments(unittest.TestCase):
    def test_what_is_said_of_options_is_said_of_arguments(self) -> None:
        for said, here in [
            ("the input `key` (Text) is missing: give it behind `--`, since `--key` is an option: `-- --key …`",
             "the input `key` (Text) is missing: give `key` in `inputs`"),
            ("the inputs `key` (Text), `n` (Int) are missing: give them behind `--`, since `--key` is an option: `-- --key … --n …`",
             "the inputs `key` (Text), `n` (Int) are missing: give `key`, `n` in `inputs`"),
            ("there are several jobs: `--job one`", "there are several jobs: `name one`"),
            ("`--slo` is for one job", "`slo` is for one job"),
            ("there is no cluster: `--cluster here`", "there is no cluster: `--cluster here`"),
        ]:
            self.assertEqual(client._in_python(said), here)

    def test_inputs_become_words(self) -> None:
        words = client._words
        self.assertEqual(words("a", ["x", "--y"]), ["--a=x", "--a=--y"])
        self.assertEqual(words("a", {"b": [1, None]}), ['--a={"b": [1, null]}'])
        self.assertEqual(words("a", False), ["--a=false"])
        self.assertEqual(words("a", pathlib.Path("/x/../y")), ["--a=/y"])
        self.assertEqual(words("a", murakkab.Image("/p.png")), ["--a=/p.png"])
        with self.assertRaises(ValueError):
            words("a", float("nan"))
        with self.assertRaises(ValueError):
            words("a b", 1)

    def test_what_no_argument_holds_goes_into_a_file(self) -> None:
        long = "é" * client.LONGEST
        inputs = {"a": "x", "b": [], "c": [long], "d": None, "e": long[1:]}
        typed, filed = client._parted(inputs)
        self.assertEqual((sorted(typed), sorted(filed)), (["a", "d"], ["b", "c", "e"]))

    def test_limits_become_lines(self) -> None:
        lines = client._lines({"latency.p95": "60 s", "quality": "80 %", "cost": "< 1 usd"})
        self.assertEqual(lines, ["latency.p95 <= 60 s", "quality >= 80 %", "cost < 1 usd"])
        with self.assertRaises(TypeError):
            client._lines("cost <= 1 usd")

    def test_where_the_program_is(self) -> None:
        with mock.patch.dict(os.environ, {"PATH": "/nonexistent", "MKBC": ""}):
            with mock.patch("murakkab.client.sysconfig.get_path", return_value="/nonexistent"):
                with self.assertRaises(murakkab.NotInstalled):
                    client.program()
        with mock.patch.dict(os.environ, {"MKBC": "/nonexistent/mkbc"}):
            with self.assertRaises(murakkab.NotInstalled):
                murakkab.run("job x() -> Text { 1 }")

    def test_the_client_is_not_imported_for_a_tool(self) -> None:
        import subprocess
        import sys

        code = "import sys, murakkab; murakkab.tool; sys.exit('subprocess' in sys.modules)"
        package = str(pathlib.Path(murakkab.__file__).resolve().parents[1])
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": package})
        self.assertEqual(done.returncode, 0)
        with self.assertRaises(AttributeError):
            murakkab.nothing


if __name__ == "__main__":
    unittest.main()
