"""uvicorn with deadlines for the clients: for headers that do not come, and answers not read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from headstart.web.asgi import App
from headstart.web.patience import Patience


def make_server(app: App, patience: Patience) -> uvicorn.Server:
    """A server that is to be given a bound socket."""
    return _Server(
        uvicorn.Config(
            cast("Any", app),
            http=cast("Any", partial(_Patient, patience)),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=patience.connections,
            timeout_keep_alive=patience.idle,
            timeout_graceful_shutdown=patience.stopping,
        )
    )


class _Server(uvicorn.Server):
    """Whose signals are handled outside, for all servers together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield


class _Patient(H11Protocol):
    """A connection with deadlines."""

    def __init__(
        self,
        waits: Patience,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.waits = waits
        self._headers: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._headers = self.loop.call_later(self.waits.headers, self._check_headers)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_headers()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._headers, self._reading):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(self.waits.reading, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _watch_headers(self) -> None:
        """The clock runs while a request has begun of which the headers are not all there."""
        begun = not self._answering() and bool(self.conn.trailing_data[0])
        if begun and self._headers is None:
            self._headers = self.loop.call_later(self.waits.headers, self._check_headers)
        elif not begun and self._headers is not None:
            self._headers.cancel()
            self._headers = None

    def _check_headers(self) -> None:
        self._headers = None
        if not self._answering() and not self.transport.is_closing():
            self.transport.abort()
