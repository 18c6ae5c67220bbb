"""Calls of tools over a framed pipe: `python3 -m murakkab.worker READ WRITE MODULE [LIMIT]`; started by mkbc, one call at a time.

A frame is a length (four bytes, big-endian) and so many bytes of JSON. READ and WRITE are descriptors that nothing but this file uses:
what user code prints goes to standard error, and is a log.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import os
import struct
import sys
import traceback
from typing import Any, Callable, Dict, List, Optional, Tuple

import murakkab
from murakkab.hints import Refused, decode, encode, signature

LIMIT = 64 << 20
"""Bytes of a frame."""

Signed = Tuple[List[Tuple[str, Any, bool]], Any]
"""What `signature` says of a function."""


def load(module: str) -> Any:
    """A module by file or by name."""
    if not module.endswith(".py"):
        return importlib.import_module(module)
    path = os.path.abspath(module)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no module {path}")
    sys.path.insert(0, os.path.dirname(path))
    name = os.path.basename(path)[: -len(".py")]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # dataclasses and pickle look modules up by name
    spec.loader.exec_module(made)
    return made


def tools(module: Any) -> Dict[str, Callable[..., Any]]:
    """The functions of a module that are tools, by the tool's name."""
    found: Dict[str, Callable[..., Any]] = {}
    for value in vars(module).values():
        known = getattr(value, "__murakkab__", None)
        if isinstance(known, murakkab.Tool):
            if found.setdefault(known.name, value) is not value:
                raise Refused(f"two functions are tools called `{known.name}`: rename one")
    return found


def last_lines(error: BaseException) -> str:
    """The traceback without the frames of this file."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    lines = traceback.format_exception(type(error), error, frames)
    return "".join(lines)[-4000:]


class Pipe:
    """Frames over two descriptors."""

    def __init__(self, read: int, write: int, limit: int) -> None:
        for fd in (read, write):
            os.set_inheritable(fd, False)
        self.source = os.fdopen(read, "rb")
        self.target = os.fdopen(write, "wb")
        self.limit = limit

    def receive(self) -> Optional[Any]:
        head = self.source.read(4)
        if len(head) < 4:
            return None
        (length,) = struct.unpack(">I", head)
        body = self.source.read(length)
        return json.loads(body) if len(body) == length else None

    def send(self, value: Any) -> None:
        body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        if len(body) > self.limit:
            raise ValueError(f"the result has {len(body) >> 20} MB, and at most {self.limit >> 20} MB are taken")
        self.target.write(struct.pack(">I", len(body)) + body)
        self.target.flush()


def failure(error: BaseException) -> Dict[str, Any]:
    message = str(error)
    return {"error": {"type": type(error).__name__, "message": message[:1000], "traceback": last_lines(error)}}


def arguments(signed: Signed, given: Dict[str, Any]) -> Dict[str, Any]:
    """The arguments of a call as its function expects them."""
    decoded = {}
    for param, hint, has_default in signed[0]:
        value = given.get(param)
        if value is None and has_default:
            continue
        decoded[param] = decode(value, hint)
    return decoded


def one(function: Callable[..., Any], signed: Signed, call: Dict[str, Any]) -> Dict[str, Any]:
    """The answer to one call."""
    try:
        os.chdir(call["folder"])
        return {"value": encode(function(**arguments(signed, call["arguments"])))}
    except BaseException as error:  # a tool that calls sys.exit has failed; the worker has not
        return failure(error)


def answers(function: Callable[..., Any], signed: Signed, calls: List[Dict[str, Any]], folder: str) -> List[Dict[str, Any]]:
    """The answers to several calls: of the tool's function for many, where it has one, else call by call."""
    many = function.__murakkab__.together  # type: ignore[attr-defined]
    if many is None:
        return [one(function, signed, call) for call in calls]
    found: List[Optional[Dict[str, Any]]] = []
    given = []
    for call in calls:
        try:
            given.append(arguments(signed, call["arguments"]))
            found.append(None)
        except Exception as error:
            found.append(failure(error))
    os.chdir(folder)
    values = list(many(given)) if given else []
    if len(values) != len(given):
        raise ValueError(f"`{many.__name__}` returned {len(values)} results for {len(given)} calls")
    rest = iter(values)
    return [answer if answer is not None else result(next(rest)) for answer in found]


def result(value: Any) -> Dict[str, Any]:
    """The answer that a result is; an exception among the results is its call's failure."""
    if isinstance(value, BaseException):
        return failure(value)
    try:
        return {"value": encode(value)}
    except Exception as error:
        return failure(error)


def serve(pipe: Pipe, module: str) -> None:
    """Imports the module and answers calls until the pipe closes."""
    try:
        known = tools(load(module))
        hints = {name: signature(function) for name, function in known.items()}
        pipe.send({"ready": sorted(known), "together": True})
    except BaseException as error:  # also a SystemExit at the module's top level: it is an answer, and the end
        flush()
        pipe.send(failure(error))
        return
    while True:
        request = pipe.receive()
        if request is None:
            return
        try:
            name = request["function"]
            if name not in known:
                raise LookupError(f"the module has no tool `{name}`; it has {', '.join(sorted(known)) or 'none'}")
            if "calls" in request:
                answer = {"answers": answers(known[name], hints[name], request["calls"], request["folder"])}
            else:
                answer = one(known[name], hints[name], request)
        except BaseException as error:  # a tool that calls sys.exit has failed; the worker has not
            answer = failure(error)
        flush()
        mark(request["mark"])
        try:
            pipe.send(answer)
        except (TypeError, ValueError, RecursionError) as error:
            pipe.send(failure(error))


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def mark(text: str) -> None:
    """Ends the log of a call."""
    try:
        os.write(2, f"\n{text}\n".encode())
    except OSError:
        pass


def main() -> None:
    read, write, module = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    limit = int(sys.argv[4]) if len(sys.argv) > 4 else LIMIT
    pipe = Pipe(read, write, limit)
    os.dup2(2, 1)
    faulthandler.enable()
    serve(pipe, module)


if __name__ == "__main__":
    main()
