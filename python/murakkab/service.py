"""Runs on a server, `mkbc serve`, over its HTTP interface. `murakkab.run(..., service="http://127.0.0.1:7411")` comes here."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from types import TracebackType
from typing import Any, Dict, IO, Mapping, Optional, Sequence, Tuple, Type, Union

import murakkab
from murakkab.client import Answer, Error, Stopped, _diagnostic

WAIT = 30
"""Seconds that one request waits for an answer."""
PATIENCE = 60.0
"""Seconds that the server has to answer a request, beside what it is to wait."""
FINAL = ("done", "failed", "cancelled")


class _Stays(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: a token is for one server."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Service:
    """A server."""

    def __init__(self, address: str, token: Optional[str]) -> None:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`{address}` is no http or https address of a server")
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if token and parts.scheme == "http" and not local:
            raise ValueError("a token goes to another machine over https alone")
        self.address = address.rstrip("/")
        self._token = token
        # What is on this machine is behind no proxy.
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(_Stays(), *proxies)

    def ask(
        self, method: str, path: str, body: Union[bytes, IO[bytes], None] = None, headers: Optional[Mapping[str, str]] = None, wait: int = 0
    ) -> Tuple[int, Dict[str, Any]]:
        """Status and answer of a request; refusals too, if the server gave them as JSON."""
        request = urllib.request.Request(self.address + path, data=body, method=method, headers=dict(headers or {}))
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=wait + PATIENCE) as response:
                return response.status, _json(response.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, _json(refusal.read())
        except (urllib.error.URLError, OSError) as error:
            raise Error(f"the server at {self.address} does not answer: {getattr(error, 'reason', error)}") from error

    def good(self, method: str, path: str, **more: Any) -> Dict[str, Any]:
        """The answer of a request; raises Error where it is refused."""
        status, told = self.ask(method, path, **more)
        if status >= 300:
            raise _refused(status, told)
        return told

    def upload(self, path: str) -> str:
        """Brings a file there. Returns its digest."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            return str(self.good("PUT", "/v1/blobs", body=file, headers=headers)["blob"])

    def value(self, value: Any) -> Any:
        """An input as the server takes it: files are brought there."""
        if isinstance(value, (murakkab.Media, os.PathLike)):
            return {"blob": self.upload(os.fspath(value))}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value


def _json(body: bytes) -> Dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _refused(status: int, told: Mapping[str, Any]) -> Error:
    problem = told.get("error")
    if not isinstance(problem, dict):
        return Error(f"the server refuses the request, with status {status}")
    diagnostics = [_diagnostic(one) for one in problem.get("diagnostics") or []]
    lines = [str(problem.get("message")), *(str(d) for d in diagnostics)]
    if problem.get("help"):
        lines.append(f"  help: {problem['help']}")
    return Error("\n".join(lines), diagnostics)


class ServiceRun:
    """A run on a server. Made by `start(..., service=...)`; as `Run`, but for a folder."""

    def __init__(
        self,
        service: Service,
        source: str,
        inputs: Mapping[str, Any],
        slo: Sequence[str],
        name: Optional[str],
        key: Optional[str],
    ) -> None:
        self._service = service
        self._ended: Union[Answer, Error, None] = None
        given = {named: service.value(value) for named, value in inputs.items() if value is not None}
        submission: Dict[str, Any] = {"source": source, "inputs": given}
        submission.update({"slo": list(slo)} if slo else {})
        submission.update({"job": name} if name is not None else {})
        submission.update({"key": key} if key is not None else {})
        body = json.dumps(submission, allow_nan=False).encode()
        told = service.good("POST", "/v1/runs", body=body, headers={"Content-Type": "application/json"})
        self.id = int(told["id"])
        """Its number on the server."""

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        if self._ended is not None:
            return False
        return self._service.good("GET", f"/v1/runs/{self.id}")["state"] not in FINAL

    def wait(self, timeout: Optional[float] = None) -> Answer:
        """Waits for the answer, for so many seconds at most; then raises TimeoutError, and the run goes on. Raises Error where there is none."""
        until = None if timeout is None else time.monotonic() + timeout
        while self._ended is None:
            left = WAIT if until is None else min(WAIT, max(0, int(until - time.monotonic())))
            status, told = self._service.ask("GET", f"/v1/runs/{self.id}/result?wait_s={left}", wait=left)
            if status < 300:
                self._ended = Answer(told["result"], float(told["took_s"]), told["cost_usd"], None, told)
                break
            run = self._service.good("GET", f"/v1/runs/{self.id}")
            if run["state"] == "failed":
                self._ended = Error(run.get("error") or "the run failed", (), run)
            elif run["state"] == "cancelled":
                self._ended = Stopped("the run was stopped", (), run)
            elif run["state"] == "done" and status == 409:
                # It ended between the two questions.
                continue
            elif run["state"] == "done" or status not in (409, 503):
                raise _refused(status, told)
            elif until is not None and time.monotonic() >= until:
                raise TimeoutError(f"the run has no answer after {timeout} s")
            else:
                # A server that stops answers at once, and goes on with the run when it is there again.
                time.sleep(min(0.2, max(0.0, until - time.monotonic())) if until is not None else 0.2)
        if isinstance(self._ended, Error):
            raise self._ended
        return self._ended

    def stop(self, grace: float = 10.0) -> None:
        """Stops it: what is under way has so many seconds to end."""
        path = f"/v1/runs/{self.id}/cancel"
        status, told = self._service.ask("POST", path)
        if self._ended is None and status == 202 and told.get("draining"):
            until = time.monotonic() + grace
            while self.running and time.monotonic() < until:
                time.sleep(0.1)
            if self.running:
                self._service.ask("POST", path)

    def __enter__(self) -> "ServiceRun":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._ended is None and self.running:
            self.stop()
