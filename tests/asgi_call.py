"""Ask an ASGI application in this process, and run one on a socket in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from headstart.web.asgi import App, Message, Receive, Scope, Send
from headstart.web.patience import Patience
from headstart.web.running import Running, Site, bind


@dataclass
class Reply:
    """What was answered; status 0 where nothing was."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def make_scope(path: str = "/", method: str = "GET", **headers: str) -> Scope:
    """A request; `_` in the name of a header stands for `-`."""
    pairs = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "scheme": "http", "headers": pairs}


def ask(app: App, scope: Scope, parts: Sequence[bytes] = (b"",)) -> Reply:
    """Send a request with its body in parts."""
    reply, left = Reply(), list(parts)

    async def receive() -> Message:
        if not left:
            return {"type": "http.disconnect"}
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        reply.body += message.get("body", b"")

    asyncio.run(asyncio.wait_for(_call(app, scope, receive, send), 20))
    return reply


async def _call(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def served(app: App, patience: Patience | None = None) -> Iterator[tuple[str, int]]:
    """Run an application on a free port of 127.0.0.1; gives host and port."""
    bound = bind("127.0.0.1", 0)
    address: Any = bound.getsockname()
    running, ready = Running([Site(app, bound)], patience), threading.Event()
    thread = threading.Thread(target=running.run, kwargs={"started": ready.set})
    thread.start()
    try:
        assert ready.wait(20)
        yield address
    finally:
        running.stop()
        thread.join(20)
        assert not thread.is_alive()
