"""Answers of trained classifiers for images that are tried: few are loaded, few wait.

All work is done by one thread: the network itself uses every processor.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from headstart.bundle import load
from headstart.classifier import Classifier
from headstart.errors import HeadstartError
from headstart.explanation import drawn

_LOADED, _WAITING = 3, 8
_What = TypeVar("_What")


class Busy(HeadstartError):
    """More is waiting than can be answered in time."""


class Answering:
    """Loads and asks classifiers; the newest few stay loaded."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="answering")
        self._loaded: OrderedDict[tuple[Path, int], Classifier] = OrderedDict()
        self._waiting = 0

    def close(self) -> None:
        """Wait for the answer that is being made."""
        self._pool.shutdown(cancel_futures=True)

    async def predict(self, folder: Path, image: bytes, *, mapped: bool) -> dict[str, Any]:
        """Answer for an image, as JSON values.

        Args:
            folder: The bundle.
            image: An encoded image.
            mapped: Whether to draw what speaks for the answer.

        Raises:
            BadImage: It cannot be decoded.
            Busy: Too many are waiting.
            HeadstartError: The bundle cannot be loaded.
        """
        return await self._soon(lambda: self._answer(folder, image, mapped))

    async def draw_map(self, folder: Path, path: Path, class_name: str | None) -> bytes:
        """A file with the map of what speaks for a class (None: the answer) over it, as PNG."""
        return await self._soon(lambda: drawn(self._classifier(folder), path, class_name))

    async def _soon(self, work: Callable[[], _What]) -> _What:
        if self._waiting >= _WAITING:
            raise Busy("Too many images are waiting. Expected fewer at once. Try again.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def _classifier(self, folder: Path) -> Classifier:
        key = folder, (folder / "bundle.json").stat().st_mtime_ns
        if key not in self._loaded:
            self._loaded[key] = load(folder)
            while len(self._loaded) > _LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _answer(self, folder: Path, image: bytes, mapped: bool) -> dict[str, Any]:
        classifier = self._classifier(folder)
        begin = time.perf_counter()
        found = classifier.predict(image)
        # JPEG: a webcam's frames follow each other quickly.
        drawing = drawn(classifier, image, found.label, "JPEG") if mapped else None
        return {
            "label": found.label,
            "probability": found.probability,
            "classes": [
                {"name": name, "probability": value} for name, value in found.probabilities.items()
            ],
            "candidates": None if found.candidates is None else list(found.candidates),
            "unknown": found.unknown,
            "words": "; ".join(found.doubts(3)),
            "map": drawing and f"data:image/jpeg;base64,{base64.b64encode(drawing).decode()}",
            "milliseconds": round(1000 * (time.perf_counter() - begin), 1),
        }
