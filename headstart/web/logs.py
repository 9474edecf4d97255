"""An id for each request, and a line of JSON for it on stderr.

Whatever is logged is one line: JSON escapes what a client may have put into a path or a header.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import secrets
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from headstart.web.asgi import App, Message, Receive, Scope, Send, header

REQUEST_ID = "request_id"  # where it stands in scope["state"]
DEFECT = "A defect of the server. Its log says more, by the request id."
_SANE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_PROCESS, _numbers = secrets.token_hex(5), itertools.count()  # asking the system takes longer
_LONGEST = 500  # characters of a path
_OVERLOAD = (429, 503)
_MOST_REPEATED = 100  # messages that are remembered
Finished = Callable[[Scope, int, float], None]


def log(event: str, fields: Mapping[str, Any] | None = None, *, level: str = "info") -> None:
    """Write one line of JSON on stderr: time, level, event and fields."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"time": now, "level": level, "event": event, **(fields or {})}, default=str)
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # whoever read it has gone: the server goes on
        return


class RequestLog:
    """Give each request an id, send it back as `X-Request-ID`, and log the request when it is done.

    An id that the client sends is kept where it is short and plain. `finished` is called with
    scope, status and seconds of each; status is 0 where nothing was answered. `quiet` are paths
    that are not logged where all is well, such as those that are asked every second. Without
    `requests` only those that fail are logged; of the refusals of an overload (429, 503) one a
    second, with how many before it were left out.
    """

    def __init__(
        self,
        app: App,
        *,
        finished: Finished | None = None,
        quiet: frozenset[str] = frozenset(),
        requests: bool = True,
    ) -> None:
        self._app, self._finished, self._quiet, self._requests = app, finished, quiet, requests
        self._overloads = {status: _Sparse() for status in _OVERLOAD}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status, given = time.perf_counter(), 0, request_id(scope)
        scope.setdefault("state", {})[REQUEST_ID] = given

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (b"x-request-id", given.encode())
                message = {**message, "headers": [*message.get("headers", ()), own]}
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            log("defect", {"request_id": given, "error": defect(error)}, level="error")
            if status == 0:
                await _answer_defect(noting)
        finally:
            seconds = time.perf_counter() - begin
            if self._finished is not None:
                self._finished(scope, status, seconds)
            self._log(scope, status, _about(scope, status, seconds, given))

    def _log(self, scope: Scope, status: int, about: dict[str, Any]) -> None:
        if self._requests:
            if status >= 400 or scope["path"] not in self._quiet:
                log("request", about)
        elif status in self._overloads:
            left_out = self._overloads[status].take(time.monotonic())
            if left_out is not None:
                log("request", {**about, "left_out": left_out})
        elif status >= 400:
            log("request", about)


class _Sparse:
    """Lets one through each second, and counts the others."""

    def __init__(self) -> None:
        self._next, self._left_out = 0.0, 0

    def take(self, now: float) -> int | None:
        """How many were left out before this one, or None where it is to be left out too."""
        if now < self._next:
            self._left_out += 1
            return None
        before, self._left_out, self._next = self._left_out, 0, now + 1.0
        return before


def request_id(scope: Scope) -> str:
    """The id that the client gave, where it is sane, or a new one."""
    given = header(scope, b"x-request-id")
    if given is not None and _SANE.fullmatch(given):
        return given.decode()
    return f"{_PROCESS}{next(_numbers):06x}"


def _about(scope: Scope, status: int, seconds: float, given: str) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "request_id": given,
        "client": client[0] if client else None,
        "method": scope["method"],
        "path": scope["path"][:_LONGEST],
        "status": status,
        "seconds": round(seconds, 4),
    }


def defect(error: BaseException) -> str:
    """Kind, text and place of an error, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({one.filename}, line {one.lineno})" for one in place)
    return f"{type(error).__name__}: {error}{where}"


async def _answer_defect(send: Send) -> None:
    body = json.dumps({"error": DEFECT}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class JsonHandler(logging.Handler):
    """Lets what libraries log become such lines too, a line that they repeat once a second.

    See `install`. uvicorn says of each connection that is too many that it is.
    """

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._repeated: dict[str, _Sparse] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        message = record.getMessage().strip()
        if len(self._repeated) >= _MOST_REPEATED:
            self._repeated.clear()
        left_out = self._repeated.setdefault(message, _Sparse()).take(time.monotonic())
        if left_out is None:
            return
        fields: dict[str, Any] = {"logger": record.name, "message": message, "left_out": left_out}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = defect(record.exc_info[1])
        log("message", fields, level=record.levelname.lower())


def install() -> None:
    """Let the warnings of all libraries become lines of JSON; what Pillow says of images does not.

    A damaged image has many warnings, and who sent it gets an answer.
    """
    root = logging.getLogger()
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if not any(isinstance(one, JsonHandler) for one in root.handlers):
        root.addHandler(JsonHandler(logging.WARNING))
