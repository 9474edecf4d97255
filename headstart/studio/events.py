"""What happens, told to every page that is open: only the newest of each subject is kept for each.

Told from any thread, heard in the event loop; a page that is slow misses steps, never the end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

_QUIET = 15.0  # seconds after which a comment shows that the line is open


class Events:
    """Brings events from those who tell to those who listen."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()
        self._lock = threading.Lock()
        self._closed = False

    def tell(self, name: str, subject: str, data: dict[str, Any]) -> None:
        """Tell an event; a newer one of the same name and subject takes its place."""
        with self._lock:
            for one in self._listeners:
                one.put((name, subject), data)

    def close(self) -> None:
        """End all listening."""
        with self._lock:
            self._closed = True
            for one in self._listeners:
                one.put(None, {})

    async def listen(self) -> AsyncIterator[tuple[str, dict[str, Any]] | None]:
        """Each event with its data; None every 15 seconds in which there is none."""
        listener = _Listener(asyncio.get_running_loop())
        with self._lock:
            if self._closed:
                return
            self._listeners.add(listener)
        try:
            while True:
                try:
                    await asyncio.wait_for(listener.ready.wait(), _QUIET)
                except TimeoutError:
                    yield None
                    continue
                found = listener.take()
                if found is None:
                    return
                for (name, _), data in found.items():
                    yield name, data
        finally:
            with self._lock:
                self._listeners.discard(listener)


class _Listener:
    """What one page has not heard yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ready = asyncio.Event()
        self._loop, self._lock = loop, threading.Lock()
        self._waiting: dict[tuple[str, str], dict[str, Any]] = {}
        self._ended = False

    def put(self, key: tuple[str, str] | None, data: dict[str, Any]) -> None:
        with self._lock:
            if key is None:
                self._ended = True
            else:
                self._waiting.pop(key, None)
                self._waiting[key] = data
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.ready.set)

    def take(self) -> dict[tuple[str, str], dict[str, Any]] | None:
        """What has come since the last time; None at the end."""
        self.ready.clear()
        with self._lock:
            found, self._waiting = self._waiting, {}
            return None if self._ended else found
