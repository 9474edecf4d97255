from __future__ import annotations

import asyncio
import json
import logging
import time
from types import SimpleNamespace

import pytest
from asgi_call import Reply, ask, echo, make_scope

from headstart.web.asgi import App, Message, Receive, Scope, Send
from headstart.web.limits import Bounds, Limits
from headstart.web.logs import JsonHandler, RequestLog

SMALL = Bounds(body=10, seconds=0.1)
STREAMED = Bounds(body=10, seconds=0.1, streamed=lambda scope: True)
BOTH = pytest.mark.parametrize("bounds", [SMALL, STREAMED])


async def swallow(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that makes another answer of what goes wrong."""
    try:
        await echo(scope, receive, send)
    except Exception:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"wrong"})


@BOTH
@pytest.mark.parametrize("app", [echo, swallow])
@pytest.mark.parametrize(
    ("parts", "status"),
    [((b"0123456789",), 200), ((b"01234", b"56789"), 200), ((b"01234", b"56789", b"x"), 413)],
)
def test_size_of_a_body_in_parts(
    app: App, bounds: Bounds, parts: tuple[bytes, ...], status: int
) -> None:
    reply = ask(Limits(app, bounds), make_scope(method="POST"), parts)
    assert reply.status == status
    if status == 200:
        assert reply.body == b"0123456789"
    else:
        assert json.loads(reply.body) == {"error": "The body is too large: at most 10 bytes."}


@BOTH
def test_a_length_that_is_too_large_is_refused_unread(bounds: Bounds) -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("asked")

    scope = make_scope(method="POST", content_length="11", expect="100-continue")
    reply = ask(Limits(never, bounds), scope, [b"x"] * 3)
    assert (reply.status, reply.headers["connection"]) == (413, "close")


def ask_slowly(app: App) -> Reply:
    """Send a part every 40 ms, for ever."""
    reply = Reply()

    async def receive() -> Message:
        await asyncio.sleep(0.04)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        reply.status = message.get("status", reply.status)

    async def call() -> None:
        await app(make_scope(method="POST"), receive, send)

    asyncio.run(asyncio.wait_for(call(), 5))
    return reply


@BOTH
@pytest.mark.parametrize("app", [echo, swallow])
def test_time_of_a_body(app: App, bounds: Bounds) -> None:
    assert ask_slowly(Limits(app, bounds)).status == 408


def test_all_bodies_together() -> None:
    limits = Limits(echo, Bounds(total=5))
    reply = ask(limits, make_scope(method="POST"), [b"abc", b"def"])
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert limits.held == 0
    assert ask(limits, make_scope(method="POST"), [b"ab", b"cd"]).status == 200


def test_a_client_that_goes_away_is_answered_nothing() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def unwanted(message: Message) -> None:
        raise AssertionError(message)

    asyncio.run(Limits(echo, SMALL)(make_scope(), gone, unwanted))


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2:3", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("a\nb", False)],
)
def test_request_id(given: str, kept: bool, capsys: pytest.CaptureFixture[str]) -> None:
    reply = ask(RequestLog(echo), make_scope("/a\nb", x_request_id=given))
    own = reply.headers["x-request-id"]
    assert (own == given) == kept
    (line,) = lines(capsys.readouterr().err)
    assert line["event"] == "request"
    assert (line["request_id"], line["path"], line["status"]) == (own, "/a\nb", 200)


def test_a_defect_is_logged_and_told_without_details(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("inside")

    seen: list[int] = []
    app = RequestLog(broken, finished=lambda scope, status, seconds: seen.append(status))
    reply = ask(app, make_scope())
    assert (reply.status, seen) == (500, [500])
    assert b"inside" not in reply.body
    error, request = lines(capsys.readouterr().err)
    assert str(error["error"]).startswith("RuntimeError: inside (")
    assert error["request_id"] == request["request_id"] == reply.headers["x-request-id"]


def test_quiet_paths_are_logged_where_they_fail(capsys: pytest.CaptureFixture[str]) -> None:
    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})

    quiet = frozenset({"/health"})
    ask(RequestLog(echo, quiet=quiet), make_scope("/health"))
    assert not capsys.readouterr().err
    ask(RequestLog(busy, quiet=quiet), make_scope("/health"))
    assert '"status": 503' in capsys.readouterr().err


def refusing(status: int) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    return app


@pytest.mark.parametrize("status", [200, 302, 400, 403, 404, 413, 500])
def test_without_requests_only_those_that_fail_are_logged(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    app = RequestLog(refusing(status), requests=False)
    for _ in range(2):
        ask(app, make_scope("/health"))
    logged = [line["status"] for line in lines(capsys.readouterr().err)]
    assert logged == ([status] * 2 if status >= 400 else [])


MOMENTS = (100.0, 100.5, 100.9, 101.5, 103.0)


def set_clock(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    fake = SimpleNamespace(monotonic=lambda: clock[0], perf_counter=time.perf_counter)
    monkeypatch.setattr("headstart.web.logs.time", fake)


def test_what_a_library_repeats_is_logged_once_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler, clock = JsonHandler(), [100.0]
    set_clock(monkeypatch, clock)
    for now in MOMENTS:
        clock[0] = now
        for number in (1, 2):
            handler.emit(logging.LogRecord("x", 30, "", 0, "message %s", (number,), None))
    told = [(line["message"], line["left_out"]) for line in lines(capsys.readouterr().err)]
    assert told == [(f"message {number}", left) for left in (0, 2, 0) for number in (1, 2)]


@pytest.mark.parametrize("status", [429, 503])
def test_without_requests_an_overload_is_logged_once_a_second(
    status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app, clock = RequestLog(refusing(status), requests=False), [100.0]
    set_clock(monkeypatch, clock)
    for now in MOMENTS:
        clock[0] = now
        ask(app, make_scope())
    assert [line["left_out"] for line in lines(capsys.readouterr().err)] == [0, 2, 0]
    ask(RequestLog(refusing(status)), make_scope())
    ask(RequestLog(refusing(status)), make_scope())
    assert len(lines(capsys.readouterr().err)) == 2
