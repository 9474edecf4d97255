"""The types of ASGI, and a plain answer in JSON: what needs no web framework."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
_DRAIN_BYTES, _DRAIN_SECONDS = 64 << 20, 5.0  # of a body that nobody wants


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of this (lower-case) name, or None."""
    for key, value in scope.get("headers", ()):
        if key == name:
            return bytes(value)
    return None


async def refuse(
    scope: Scope,
    send: Send,
    status: int,
    text: str,
    headers: Headers = (),
    receive: Receive | None = None,
) -> None:
    """Answer with `{"error": text}` and close; a websocket that is not open is refused as a whole.

    The answer is sent at once; then, with `receive`, what the client still sends is read for a
    while: one that is cut off while it sends sees no answer.
    """
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"error": text}).encode()
    length = (b"content-length", str(len(body)).encode())
    given = [(b"content-type", b"application/json"), length, (b"connection", b"close"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    # One that waits to be asked for its body (Expect: 100-continue) will not send it.
    if receive is not None and header(scope, b"expect") is None and status != 408:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await _drain(receive)
    await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    size = 0
    while size < _DRAIN_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            return
