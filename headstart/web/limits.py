"""How large a body may be and how long it may take to come.

A body is read here, whole, before the application is asked, so a slow client holds a connection and
what it has sent, and nothing else. What is to be worked on as it comes (a file of gigabytes) can be
passed on instead, with the same limits. All bodies on their way together have a limit as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from headstart.web.asgi import App, Message, Receive, Scope, Send, header, refuse

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """The limits of one body and of all together.

    Attributes:
        body: Most bytes of one body.
        seconds: How long one body may take.
        total: Most bytes of all bodies that are held at once.
        streamed: Says of a request whether its body is passed on as it comes; none is held then.
    """

    body: int = 32 * MEGABYTE
    seconds: float = 30.0
    total: int = 512 * MEGABYTE
    streamed: Callable[[Scope], bool] | None = None


class BodyRefused(Exception):
    """A body is too large (413), too slow (408), or there is no room for it (503)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class ClientGone(Exception):
    """The client went away before it had sent all."""


class Limits:
    """Hold the bodies of requests to `bounds`; what goes beyond is answered here."""

    def __init__(self, app: App, bounds: Bounds) -> None:
        self._app, self._bounds = app, bounds
        self.held = 0  # bytes, of all bodies at this time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body and pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counted = _Counted(receive, self._bounds)
        try:
            counted.check_length(scope)
            if self._bounds.streamed is not None and self._bounds.streamed(scope):
                await self._pass_on(scope, counted, send)
            else:
                await self._hold(scope, counted, send)
        except BodyRefused as refused:
            retry = [(b"retry-after", b"1")] if refused.status == 503 else []
            await refuse(scope, send, refused.status, refused.text, retry, counted.rest)
        except ClientGone:
            return

    async def _hold(self, scope: Scope, counted: _Counted, send: Send) -> None:
        """Pass the request on with all of its body."""
        held = 0
        try:
            chunks: list[bytes] = []
            async for chunk in counted.chunks():
                if self.held + len(chunk) > self._bounds.total:
                    raise BodyRefused(503, "Too many bodies are on their way. Try again later.")
                held += len(chunk)
                self.held += len(chunk)
                chunks.append(chunk)
            whole = b"".join(chunks) if len(chunks) > 1 else chunks[0]
            chunks.clear()
            await self._app(scope, _given_once(whole, counted.receive), send)
        finally:
            self.held -= held

    async def _pass_on(self, scope: Scope, counted: _Counted, send: Send) -> None:
        """Pass the request on with its body as it comes; a refusal goes before what is answered."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if counted.refused is None or started:
                started = True
                await send(message)

        with suppress(BodyRefused, ClientGone):
            try:
                await self._app(scope, counted.next, watched)
            except Exception:
                if counted.refused is None:
                    raise
        if counted.refused is not None and not started:
            raise counted.refused


def _given_once(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return waiting.pop() if waiting else await receive()

    return give


class _Counted:
    """The body of one request, within its limits."""

    def __init__(self, receive: Receive, bounds: Bounds) -> None:
        self.receive, self._bounds = receive, bounds
        self._until = asyncio.get_running_loop().time() + bounds.seconds
        self._size, self.whole = 0, False
        self.refused: BodyRefused | None = None

    def check_length(self, scope: Scope) -> None:
        """Refuse what says itself that it is too large, before any of it is read."""
        length = header(scope, b"content-length")
        if length is not None and length.isdigit() and int(length) > self._bounds.body:
            raise self._refuse(413, f"at most {_size(self._bounds.body)}")

    async def next(self) -> Message:
        """The next part.

        Raises:
            BodyRefused: It is too large or comes too slowly.
        """
        if self.whole:
            return await self.receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self.receive()
        except TimeoutError:
            raise self._refuse(408, f"expected within {self._bounds.seconds:g} s") from None
        self._size += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self._size > self._bounds.body:
            raise self._refuse(413, f"at most {_size(self._bounds.body)}")
        return message

    async def chunks(self) -> Any:
        """All parts, as bytes."""
        while True:
            message = await self.next()
            if message["type"] == "http.disconnect":
                raise ClientGone
            yield message.get("body", b"")
            if self.whole:
                return

    async def rest(self) -> Message:
        """The next part, unless there is none."""
        return {"type": "http.disconnect"} if self.whole else await self.receive()

    def _refuse(self, status: int, rule: str) -> BodyRefused:
        what = {408: "came too slowly", 413: "is too large"}[status]
        self.refused = BodyRefused(status, f"The body {what}: {rule}.")
        return self.refused


def _size(count: int) -> str:
    return f"{count / MEGABYTE:.3g} MB" if count >= MEGABYTE else f"{count} bytes"
