"""What long work tells while it runs: events for a listener, silent where nobody listens.

One stream serves the command line and the browser. Work opens a `stage`, calls `advance` on it, and
the listener set by `listen` gets an `Event` at most ten times a second and at the stage's start and
end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One moment of a stage, a remark, or figures.

    `total` is 0 where the length is not known; `seconds_left` is None until it can be estimated;
    `finished` is True for the last event of a stage; `message` is set for a remark alone, `figures`
    for what was measured by the way, such as the loss after an epoch.
    """

    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    finished: bool = False
    message: str = ""
    figures: Mapping[str, float] | None = None


Listener = Callable[[Event], None]
_listener: ContextVar[Listener | None] = ContextVar("headstart_progress", default=None)
_INTERVAL = 0.1  # seconds between two events of a stage
_SOON = 0.5  # seconds after which the time left can be told


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Send the events of all work inside the block to `listener` (called from several threads)."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def remark(stage: str, message: str) -> None:
    """Tell something worth reading that is no error."""
    listener = _listener.get()
    if listener is not None:
        listener(Event(stage, message=message))


def tell_figures(stage: str, figures: Mapping[str, float]) -> None:
    """Tell what was measured by the way."""
    listener = _listener.get()
    if listener is not None:
        listener(Event(stage, figures=dict(figures)))


class Stage:
    """A running stage; `advance` may be called from any thread."""

    def __init__(self, name: str, total: int, listener: Listener | None) -> None:
        self.name = name
        self.total = total
        self.done = 0
        self._listener = listener
        self._lock = threading.Lock()
        self._begin: tuple[float, int] | None = None  # time of the first step, steps done by then
        self._next = 0.0

    def advance(self, amount: int = 1) -> None:
        """Count `amount` more as done."""
        with self._lock:
            self.done += amount
            now = time.monotonic()
            if self._listener is None or now < self._next:
                return
            self._next = now + _INTERVAL
            self._listener(Event(self.name, self.done, self.total, self._seconds_left(now)))

    def _seconds_left(self, now: float) -> float | None:
        if self._begin is None:  # what comes before the first step says nothing of the others
            self._begin = now, self.done
        start, before = self._begin
        if not self.total or self.done == before or now - start < _SOON:
            return None
        return (now - start) / (self.done - before) * max(0, self.total - self.done)


@contextmanager
def stage(name: str, total: int = 0) -> Iterator[Stage]:
    """Open a stage of `total` steps; its end is told also where an error ends it."""
    listener = _listener.get()
    running = Stage(name, total, listener)
    if listener is not None:
        listener(Event(name, 0, total))
    try:
        yield running
    finally:
        if listener is not None:
            listener(Event(name, running.done, total, finished=True))
