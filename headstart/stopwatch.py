"""Seconds a stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Runs from when it is made; `stage` times what is inside, and adds up."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        begin = time.monotonic()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - begin

    def result(self) -> dict[str, float]:
        """`total`, and one figure a stage."""
        rounded = {name: round(value, 3) for name, value in self._seconds.items()}
        return {"total": round(time.monotonic() - self.start, 3), **rounded}
