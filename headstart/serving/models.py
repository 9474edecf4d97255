"""The models that are served, each by its newest version; new ones are swapped in while it runs.

A version is looked at again and again until nothing about it changes, then loaded, warmed up and
tried. Only then does it take the place of the old one, between two requests: what the old one has
begun it ends. A version that cannot be used is told once, and the old one stays.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headstart.classifier import Classifier
from headstart.errors import HeadstartError
from headstart.serving.batcher import Batcher
from headstart.serving.loading import load_checked
from headstart.serving.place import Place, signature
from headstart.web.logs import defect, log

Observe = Callable[[str, str], None]  # name of a model, and `loaded` or `failed`


@dataclass(frozen=True, eq=False)
class Version:
    """One version of a model, ready to answer."""

    name: str
    version: str
    classifier: Classifier
    batcher: Batcher


@dataclass
class Served:
    """A model and what answers for it now; `failed` has the state of versions that were broken."""

    place: Place
    current: Version
    failed: dict[str, object]
    seen: dict[str, object]


class Models:
    """All models.

    Args:
        threads: Of the engine of each.
        loop: The event loop that asks, and on which versions are swapped.
        batched: Called on it with the size of each batch.
        loaded: Called with every attempt to load a version.
    """

    def __init__(
        self,
        threads: int,
        loop: asyncio.AbstractEventLoop,
        batched: Callable[[int], None],
        loaded: Observe,
    ) -> None:
        self._threads, self._loop = threads, loop
        self._batched, self._loaded = batched, loaded
        self._models: dict[str, Served] = {}
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def load(self, places: Sequence[Place]) -> None:
        """Load the newest version of each that can be used.

        Raises:
            HeadstartError: A model has none; the text is that of its newest.
        """
        for place in places:
            self._models[place.name] = self._first(place)

    def _first(self, place: Place) -> Served:
        failed: dict[str, object] = {}
        problem: HeadstartError | None = None
        for version, folder in place.versions():
            state = signature(folder)
            try:
                current = self._open(place.name, version, folder)
            except HeadstartError as error:
                problem, failed[version] = problem or error, state
                if place.versioned:
                    self._tell_failure(place.name, version, error)
            else:
                return Served(place, current, failed, {})
        assert problem is not None
        raise problem

    def _open(self, name: str, version: str, folder: Path) -> Version:
        classifier = load_checked(folder, self._threads)
        batcher = Batcher(classifier, self._threads, self._loop, self._batched)
        self._loaded(name, "loaded")
        log("loaded", {"model": name, "version": version})
        return Version(name, version, classifier, batcher)

    def _tell_failure(self, name: str, version: str, error: Exception) -> None:
        self._loaded(name, "failed")
        text = str(error) if isinstance(error, HeadstartError) else defect(error)
        fields = {"model": name, "version": version, "error": text}
        log("version not usable", fields, level="error")

    def names(self) -> list[str]:
        """The models, the default first."""
        return list(self._models)

    def get(self, name: str | None = None) -> Version | None:
        """What answers for a model now, or for the default; None where there is no such model."""
        if name is None:
            return next(iter(self._models.values())).current
        found = self._models.get(name)
        return None if found is None else found.current

    def watch(self, seconds: float) -> None:
        """Look for new versions every so many seconds, in a thread."""
        if any(one.place.versioned for one in self._models.values()):
            self._watcher = threading.Thread(
                target=self._watch, args=(seconds,), name="headstart-watch", daemon=True
            )
            self._watcher.start()

    def _watch(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            for served in list(self._models.values()):
                if served.place.versioned:
                    self._look_and_go_on(served.place.name)

    def _look_and_go_on(self, name: str) -> None:
        """Look, and tell of whatever goes wrong: new versions are looked for as long as it runs."""
        try:
            self.look(name)
        except Exception as error:
            log("defect", {"model": name, "error": defect(error)}, level="error")

    def look(self, name: str) -> None:
        """Look for a newer version of a model once, and swap it in where it can be used."""
        served = self._models[name]
        for version, folder in served.place.versions():
            if version == served.current.version:
                return
            state = signature(folder)
            if not state or served.failed.get(version) == state:  # an empty folder hides no other
                continue
            if served.seen.get(version) != state:
                served.seen[version] = state  # it may be copied at this moment
                return
            try:
                made = self._open(name, version, folder)
            except Exception as error:  # whatever is wrong with it, the old one stays
                served.failed[version] = state
                self._tell_failure(name, version, error)
                continue
            self._swap(served, made)
            gc.collect()  # a network is large, and may lie in a cycle
            return

    def _swap(self, served: Served, made: Version) -> None:
        """Let `made` answer from now on; done on the event loop, so that no request falls between.

        Waits until the old version has ended.
        """
        old, swapped = served.current, threading.Event()

        def swap() -> None:
            served.current = made
            old.batcher.close()
            swapped.set()

        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(swap)
        while not swapped.wait(0.05):
            if self._stop.is_set():
                made.batcher.close()
                return
        old.batcher.join()
        log("swapped", {"model": old.name, "version": made.version, "before": old.version})

    def close(self) -> None:
        """End all threads when what was submitted is done."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join(60)
        for served in self._models.values():
            served.current.batcher.close()
        for served in self._models.values():
            served.current.batcher.join()
