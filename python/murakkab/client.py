"""Runs jobs from Python: `murakkab.run(job, inputs, slo=...)`. It drives the program `mkbc`, which plans the job for this machine and runs it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, IO, Iterable, List, Mapping, Optional, Sequence, Tuple, Type, Union

if TYPE_CHECKING:
    from murakkab.service import ServiceRun

Slo = Union[Mapping[str, str], Iterable[str]]
"""Limits by metric (`{"cost": "0.10 usd", "quality": ">= 80 %"}`), or lines of the language (`["latency <= 60 s", "minimize cost"]`)."""

GRACE = 10.0
"""Seconds that a run has to end what is under way, once it is asked to stop."""


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """Something that mkbc has to say of a job."""

    code: str
    """`E0203`: `mkbc explain E0203` has more."""
    severity: str
    """`error`, `warning` or `info`."""
    message: str
    file: str
    line: int
    """1-based."""
    column: int
    """1-based."""
    help: Optional[str]
    raw: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)
    """All of it, as `mkbc check --format json` has it."""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.severity}[{self.code}]: {self.message}"
        return text if self.help is None else f"{text}\n  help: {self.help}"


class Error(Exception):
    """A job that could not be run. The message is what mkbc said of it."""

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = (), report: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.diagnostics: Tuple[Diagnostic, ...] = tuple(diagnostics)
        """What is wrong with the job, where that is why."""
        self.report: Optional[Mapping[str, Any]] = report
        """What was done and what it took, where the run began."""


class Stopped(Error):
    """A run that was stopped. `mkbc resume` goes on with it."""


class NotInstalled(Error):
    """There is no `mkbc`."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """A job's answer, and what it took."""

    value: Any
    """The answer: text, a number, a list, a dictionary; a medium is a dictionary with its `file`."""
    wall_s: float
    """Seconds."""
    cost_usd: Optional[float]
    """Dollars; None where that of a step is not known."""
    folder: Optional[Path]
    """Where all outputs are, and the plan; None where a server has them."""
    report: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)
    """What every step took, planned and measured, as `mkbc run --json` has it; of a server's run, what the server says of it."""

    @property
    def plan(self) -> Dict[str, Any]:
        """The plan that was run. A server keeps its plans."""
        if self.folder is None:
            raise Error("the plan is on the server")
        plan: Dict[str, Any] = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))
        return plan


def program() -> str:
    """The path of mkbc: what `MKBC` names, the one that was installed with this package, or the one on the path."""
    named = os.environ.get("MKBC")
    if named:
        return named
    beside = shutil.which("mkbc", path=sysconfig.get_path("scripts"))
    found = beside or shutil.which("mkbc")
    if found is None:
        raise NotInstalled("there is no program `mkbc`: pip install murakkab, put it on the PATH, or name it in MKBC")
    return found


def run(
    job: Union[str, "os.PathLike[str]"],
    inputs: Optional[Mapping[str, Any]] = None,
    slo: Slo = (),
    *,
    timeout: Optional[float] = None,
    **options: Any,
) -> Answer:
    """Plans a job within limits, runs it, and waits for its answer.

    `job` is the path of a job file, or the text of one; `inputs` its inputs by name; `slo` limits that count in place of the job's own. With
    `timeout` (seconds) the run is stopped where there is no answer by then, and TimeoutError raised. All else is as in `start`.
    """
    with start(job, inputs, slo, **options) as running:
        return running.wait(timeout)


def start(
    job: Union[str, "os.PathLike[str]"],
    inputs: Optional[Mapping[str, Any]] = None,
    slo: Slo = (),
    *,
    name: Optional[str] = None,
    library: Iterable[Union[str, "os.PathLike[str]"]] = (),
    key: Optional[str] = None,
    project: Union[str, "os.PathLike[str]", None] = None,
    env: Optional[Mapping[str, str]] = None,
    arguments: Sequence[str] = (),
    service: Optional[str] = None,
    token: Optional[str] = None,
) -> Union["Run", "ServiceRun"]:
    """Begins a run, and returns while it goes on: `with murakkab.start(...) as run: run.wait()`. Leaving the block stops it.

    `name`: which job of the file. `library`: folders to add to the library. `key`: a name for the run, which the next one with it goes on with.
    `project`: the folder with the journal of runs, else the current one. `env`: variables beside the process's own. `arguments`: further
    arguments of `mkbc run`. `service`: the address of a server (`mkbc serve`) that runs the job, with a token, which is that of the variable
    `MKBC_TOKEN` by default; it has a library, a project and an environment of its own.
    """
    if service is not None:
        from murakkab.service import Service, ServiceRun

        lines = _lines(slo)
        if library or project or env or arguments:
            raise ValueError("a server has a library, project and environment of its own")
        server = Service(service, token or os.environ.get("MKBC_TOKEN"))
        return ServiceRun(server, _source(job), inputs or {}, lines, name, key)
    scratch = tempfile.TemporaryDirectory(prefix="murakkab-")
    try:
        command = [program(), "run", _file(job, scratch.name), "--json", "--quiet", "--format", "json"]
        command += [f"--job={name}"] if name is not None else []
        command += [f"--library={os.path.abspath(folder)}" for folder in library]
        command += [f"--key={key}"] if key is not None else []
        command += [f"--slo={line}" for line in _lines(slo)]
        command += list(arguments)
        typed, filed = _parted(inputs or {})
        if filed:
            path = os.path.join(scratch.name, "inputs.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(filed, file, allow_nan=False)
            command += [f"--inputs={path}"]
        # Behind `--` an input may be called as an option is.
        words = [word for named, value in typed.items() for word in _words(named, value)]
        command += ["--", *words] if words else []
        return Run(command, scratch, project, env)
    except BaseException:
        scratch.cleanup()
        raise


class Run:
    """A run that goes on. Made by `start`."""

    def __init__(
        self,
        command: Sequence[str],
        scratch: "tempfile.TemporaryDirectory[str]",
        project: Union[str, "os.PathLike[str]", None],
        env: Optional[Mapping[str, str]],
    ) -> None:
        self._scratch = scratch
        # Files, and no pipes, which would fill where nobody reads them yet.
        self._out: IO[bytes] = open(os.path.join(scratch.name, "out"), "w+b")
        self._err: IO[bytes] = open(os.path.join(scratch.name, "err"), "w+b")
        self._ended: Union[Answer, Error, None] = None
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=self._err,
                cwd=project,
                env=None if env is None else {**os.environ, **env},
            )
        except OSError as error:
            self._close()
            if isinstance(error, FileNotFoundError) and error.filename == command[0]:
                raise NotInstalled(f"there is no program `{command[0]}`") from error
            raise Error(f"mkbc cannot be started: {error}") from error

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._ended is None and self._process.poll() is None

    def wait(self, timeout: Optional[float] = None) -> Answer:
        """Waits for the answer, for so many seconds at most; then raises TimeoutError, and the run goes on. Raises Error where there is none."""
        if self._ended is None:
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"the run has no answer after {timeout} s") from None
            self._ended = self._read()
        if isinstance(self._ended, Error):
            raise self._ended
        return self._ended

    def stop(self, grace: float = GRACE) -> None:
        """Stops it: what is under way has so many seconds to end, and `mkbc resume` can go on with the rest."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(grace + 5.0)
            except subprocess.TimeoutExpired:
                # Its children die with it.
                self._process.kill()
                self._process.wait()
        if self._ended is None:
            self._ended = self._read()

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def _read(self) -> Union[Answer, Error]:
        status = self._process.returncode
        self._out.seek(0)
        self._err.seek(0)
        out = self._out.read().decode("utf-8", "replace")
        said = self._err.read().decode("utf-8", "replace").strip()
        self._close()
        try:
            told = json.loads(out) if out.strip() else None
        except ValueError:
            return Error(f"mkbc ended with status {status}, and wrote no JSON: {out[:200]}\n{said}".strip())
        if isinstance(told, list):
            found = [_diagnostic(one) for one in told]
            wrong = [d for d in found if d.severity == "error"] or found
            # What is wrong with the call has no place in a file.
            lines = [_in_python(d.message) if d.code == CALL else str(d) for d in wrong]
            return Error("\n".join(lines) or said, [d for d in found if d.code != CALL])
        report = told if isinstance(told, dict) else None
        if status == 0 and report is not None:
            return _answer(report)
        message = _in_python(_plain(said)) or f"mkbc ended with status {status}"
        return Stopped(message, (), report) if status in (130, 143, -15, -9) else Error(message, (), report)

    def _close(self) -> None:
        self._out.close()
        self._err.close()
        self._scratch.cleanup()


def _plain(said: str) -> str:
    """What mkbc said last, without its own name: what comes before are notes."""
    parts = ("\n" + said).split("\nmkbc: ")
    return parts[-1].strip()


CALL = "E0001"
"""The code of what is wrong with the command line, and here with the call."""

KEYWORDS = {"job": "name", "library": "library", "key": "key", "slo": "slo", "inputs": "inputs"}
"""The keyword arguments that options of `mkbc run` are here."""


def _in_python(said: str) -> str:
    """What mkbc said, with the arguments of this module in place of its options: `inputs` by name, and keywords."""

    def given(found: "re.Match[str]") -> str:
        return "give " + ", ".join(f"`{name}`" for name in re.findall(r"--(\w+) ", found[1])) + " in `inputs`"

    said = re.sub(r"give (?:it|them) behind `--`, since `--\w+` is an option: `-- ([^`]*)`", r"give `\1`", said)
    said = re.sub(r"give `((?:--\w+ … ?)+)`", given, said)
    said = re.sub(r"(?<=inputs are )--\w+(?:, --\w+)*", lambda found: found[0].replace("--", ""), said)
    said = said.replace("there is no option or input `--", "there is no input `")
    said = re.sub(r"(the input |did you mean )`--(\w+)`", r"\1`\2`", said)
    said = re.sub(r"`--(\w+)`(?= has no value)", r"`\1`", said)
    return re.sub(r"`--(\w+)(?=[` ])", lambda found: f"`{KEYWORDS[found[1]]}" if found[1] in KEYWORDS else found[0], said)


def _answer(report: Dict[str, Any]) -> Answer:
    costs = [step.get("cost_usd") for step in report["steps"]]
    known = [float(cost) for cost in costs if cost is not None]
    return Answer(
        value=report["result"]["ok"],
        wall_s=float(report["wall_s"]),
        cost_usd=sum(known) if len(known) == len(costs) else None,
        folder=Path(report["folder"]),
        report=report,
    )


def _diagnostic(raw: Mapping[str, Any]) -> Diagnostic:
    place = raw["primary"]["place"]
    file = "slo" if place["file"] == "--slo" else place["file"]
    return Diagnostic(
        raw["code"], raw["severity"], raw["message"], file, place["line"], place["column"], raw["help"], raw
    )


def _file(job: Union[str, "os.PathLike[str]"], folder: str) -> str:
    """The path of a job's file, which is written where the job is a text. A text has a brace and a path has none."""
    text = os.fspath(job)
    if isinstance(job, str) and "{" in text:
        path = os.path.join(folder, "job.mkb")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path
    return os.path.abspath(text)


def _source(job: Union[str, "os.PathLike[str]"]) -> str:
    """The text of a job."""
    if isinstance(job, str) and "{" in job:
        return job
    try:
        return Path(job).read_text(encoding="utf-8")
    except OSError as error:
        raise Error(f"`{os.fspath(job)}` cannot be read: {error.strerror}") from error


def _lines(slo: Slo) -> List[str]:
    if isinstance(slo, str):
        raise TypeError("`slo` takes limits by metric, or a list of lines")
    if not isinstance(slo, Mapping):
        return list(slo)
    lines = []
    for metric, limit in slo.items():
        compared = limit.lstrip().startswith(("<", ">", "="))
        way = "" if compared else ">= " if metric == "quality" else "<= "
        lines.append(f"{metric} {way}{limit.strip()}")
    return lines


LONGEST = 100_000
"""Bytes of a value that is given as an argument; the system takes 128 kB."""


def _parted(inputs: Mapping[str, Any]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """The inputs that arguments can hold, and those that a file must: long texts and empty lists."""
    typed: Dict[str, Any] = {}
    filed: Dict[str, Any] = {}
    for name, value in inputs.items():
        parts = value if isinstance(value, (list, tuple)) else [value]
        fits = value is None or (parts and all(len(_text(part).encode("utf-8", "surrogatepass")) <= LONGEST for part in parts))
        (typed if fits or not name.isidentifier() else filed)[name] = value
    return typed, filed


def _words(name: str, value: Any) -> List[str]:
    """An input as arguments: a list is repeated."""
    if not name.isidentifier():
        raise ValueError(f"`{name}` is no name of an input")
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [f"--{name}={_text(item)}" for item in value]
    return [f"--{name}={_text(value)}"]


def _text(value: Any) -> str:
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text with a zero byte cannot be given")
        # What is given here is data: `@FILE` means a file on the command line alone.
        return f"@{value}" if value.startswith("@") else value
    if isinstance(value, os.PathLike):
        return str(os.path.abspath(os.fspath(value)))
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
