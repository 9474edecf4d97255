"""Run uvicorn on sockets that are bound beforehand, until a signal comes; then end what has begun.

Binding first means that a port that is taken is told before anything is loaded, and that port 0 is
known. Several servers share one event loop. uvicorn itself would end by the signal that stopped it,
and waits for ever for a client that sends no request: both are put right here.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.errors import HeadstartError
from headstart.extras import require
from headstart.web.asgi import App
from headstart.web.patience import Patience

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 1024  # connections that wait to be accepted


@dataclass(frozen=True)
class Site:
    """An application and the bound socket that it answers on."""

    app: App
    socket: socket.socket


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket, which `Running` listens on; port 0 takes any that is free.

    Raises:
        HeadstartError: The port is taken or may not be used, or the host is not of this machine.
    """
    if not 0 <= port <= 65535:  # the system would take the rest of it
        raise _unbound(host, port, "ports go up to 65535", "--port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError, OverflowError) as error:
        raise _unbound(host, port, "there is no such host", "--host") from error
    made = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two servers have the same port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.set_inheritable(True)
    except (OSError, OverflowError) as error:
        made.close()
        reason, option = _why(getattr(error, "errno", None), str(error))
        raise _unbound(host, port, reason, option) from error
    return made


def share(bound: socket.socket, count: int) -> list[socket.socket]:
    """Bind `count` sockets to the port of one, which is closed: Linux deals connections out evenly.

    Elsewhere all share the one, and whoever is free takes a connection.
    """
    if sys.platform != "linux":
        return [bound] * count
    family, address = bound.family, bound.getsockname()
    bound.close()
    made = []
    for _ in range(count):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(address)
        made.append(one)
    return made


def _why(code: int | None, text: str) -> tuple[str, str]:
    if code == errno.EADDRINUSE:
        return "the port is taken", "--port"
    if code in (errno.EACCES, errno.EPERM):
        return "this user may not use the port", "--port"
    if code == errno.EADDRNOTAVAIL:
        return "the host is not of this machine", "--host"
    return text, "--port"


def _unbound(host: str, port: int, reason: str, option: str) -> HeadstartError:
    return HeadstartError(
        f"Nothing can be served on {host}, port {port}: {reason}. Expected a host of this machine "
        f"and a free port. Choose another with {option}."
    )


def url_of(bound: socket.socket) -> str:
    """Where a browser finds a bound socket."""
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Running:
    """Servers in one event loop.

    Args:
        sites: What is served, and where.
        patience: How long clients are waited for.

    Raises:
        MissingExtra: uvicorn is not installed.
    """

    def __init__(self, sites: Sequence[Site], patience: Patience | None = None) -> None:
        require("uvicorn", "serve", "serving")
        from headstart.web.patient import make_server

        waits = patience or Patience()
        self._sites = sites
        self._servers: list[uvicorn.Server] = [make_server(one.app, waits) for one in sites]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    def run(
        self,
        *,
        started: Callable[[], None] | None = None,
        stopping: Callable[[], None] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Serve until SIGINT, SIGTERM or `stop`, and end what has begun; a second signal cuts it.

        A signal that the process ignores stays ignored.

        Args:
            started: Called when requests are answered.
            stopping: Called when the servers are to stop, before the last answers.
            loop: The event loop to run in, which is closed at the end; a new one without it.
        """
        with asyncio.Runner(loop_factory=(lambda: loop) if loop is not None else None) as runner:
            runner.run(self._run(started, stopping))

    def stop(self) -> None:
        """Let `run` come to its end; from any thread."""
        loop = self._loop
        if loop is None:
            self._stopped = True
        else:
            loop.call_soon_threadsafe(self._ask_to_stop)

    def _ask_to_stop(self) -> None:
        for server in self._servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    async def _run(
        self, started: Callable[[], None] | None, stopping: Callable[[], None] | None
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        if self._stopped:
            self._ask_to_stop()
        with stop_signals(lambda: loop.call_soon_threadsafe(self._ask_to_stop)):
            tasks = [
                asyncio.create_task(server.serve(sockets=[site.socket]))
                for server, site in zip(self._servers, self._sites, strict=True)
            ]
            watch = asyncio.create_task(self._watch(started, stopping))
            try:
                await asyncio.gather(*tasks)
            finally:
                watch.cancel()
                await asyncio.gather(*tasks, watch, return_exceptions=True)

    async def _watch(
        self, started: Callable[[], None] | None, stopping: Callable[[], None] | None
    ) -> None:
        while not all(server.started for server in self._servers):
            await asyncio.sleep(0.01)
        if started is not None:
            started()
        while not any(server.should_exit for server in self._servers):
            await asyncio.sleep(0.02)
        if stopping is not None:
            stopping()


@contextmanager
def stop_signals(handle: Callable[[], object]) -> Iterator[None]:
    """Call `handle` for Ctrl-C and SIGTERM, but for those that the process ignores.

    Other threads than the main one get no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    both = (signal.SIGINT, signal.SIGTERM)
    numbers = [one for one in both if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: handle()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
