"""The types of ASGI, and a plain answer in JSON: what needs no web framework."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of this (lower-case) name, or None."""
    for key, value in scope.get("headers", ()):
        if key == name:
            return bytes(value)
    return None


async def refuse(scope: Scope, send: Send, status: int, text: str, headers: Headers = ()) -> None:
    """Answer with `{"error": text}`; a websocket that is not open yet is refused as a whole."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await start_refusal(send, status, text, headers)
    await send({"type": "http.response.body", "body": b""})


async def start_refusal(send: Send, status: int, text: str, headers: Headers = ()) -> None:
    """Send all of `{"error": text}` but the end, so that a client reads it while it still sends."""
    body = json.dumps({"error": text}).encode()
    length = (b"content-length", str(len(body)).encode())
    kind = (b"content-type", b"application/json")
    await send(
        {"type": "http.response.start", "status": status, "headers": [kind, length, *headers]}
    )
    await send({"type": "http.response.body", "body": body, "more_body": True})
