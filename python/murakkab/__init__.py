"""Murakkab from Python: `murakkab.run(job, inputs, slo=...)` runs a job, `@murakkab.tool` makes a typed function a tool of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

if TYPE_CHECKING:
    from murakkab.client import Answer, Diagnostic, Error, NotInstalled, Run, Stopped, run, start

_CLIENT = ["Answer", "Diagnostic", "Error", "NotInstalled", "Run", "Stopped", "run", "start"]
_TOOLS = ["tool", "together", "Audio", "Bytes", "Document", "Embedding", "Frames", "Image", "Json", "Media", "Transcript", "Video"]
__all__ = [*_CLIENT, *_TOOLS]


def __getattr__(name: str) -> Any:
    """The client is imported when it is first used: a worker of tools starts without it."""
    if name in _CLIENT:
        from murakkab import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


Json = Any
"""Any JSON value."""


class Media:
    """A file with what is known about it (`duration`, `pixels`, …)."""

    def __init__(self, file: Any, **about: Any) -> None:
        self.file = None if file is None else str(file)
        self.about = about

    def __fspath__(self) -> str:
        if self.file is None:
            raise ValueError("there is no file: the video has no sound")
        return self.file

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.file!r})"


class Audio(Media):
    """Sound, in a file."""


class Bytes(Media):
    """Uninterpreted bytes, in a file."""


class Document(Media):
    """A document, in a file."""


class Image(Media):
    """A picture, in a file."""


class Video(Media):
    """Moving pictures, in a file."""


class Embedding(List[float]):
    """A vector: a list of floats."""


class Frames(Dict[str, Any]):
    """Pictures with times: {"frames": [{"file": …, "time": …}], "count": …}."""


class Transcript(Dict[str, Any]):
    """Speech as text: {"segments": [{"start": …, "end": …, "text": …}]}."""


class Tool:
    """What the decorator knows of a function."""

    def __init__(self, function: Callable[..., Any], name: Optional[str], license: Optional[str]) -> None:
        self.function = function
        self.name = name or function.__name__
        self.license = license
        self.together: Optional[Callable[..., Any]] = None


def tool(function: Optional[Callable[..., Any]] = None, *, name: Optional[str] = None, license: Optional[str] = None) -> Any:
    """Marks a typed function as a tool. The function stays what it is, and can be called and tested as before."""

    def mark(f: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(f):
            raise TypeError("@murakkab.tool goes on a function")
        f.__murakkab__ = Tool(f, name, license)  # type: ignore[attr-defined]
        return f

    return mark if function is None else mark(function)


def together(single: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks a function as the one that carries out several calls of a tool at once: it takes a list with the keyword arguments of each call,
    and returns a list with the result of each, or an exception for one that failed."""

    def mark(many: Callable[..., Any]) -> Callable[..., Any]:
        known = getattr(single, "__murakkab__", None)
        if not isinstance(known, Tool):
            raise TypeError("@murakkab.together(f) needs an f that is a @murakkab.tool")
        known.together = many
        return many

    return mark
