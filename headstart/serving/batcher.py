"""Images in, answers out, by threads: what is waiting is computed together.

The event loop hands over encoded images. Threads decode them; another takes all that are decoded by
then as one batch, keeps the engine full with it, and puts the features through the head at once. So
a lone image waits for no other, and under load batches become larger by themselves. How much may be
under way is said by a `Gate`, before anything is queued.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import TypeAlias

import numpy as np

from headstart.answers import Prediction
from headstart.augment import prediction_views
from headstart.classifier import Classifier, Vectors, plain_view
from headstart.engine import KERAS_BATCH, to_half
from headstart.images import BadImage, Pixels
from headstart.web.logs import defect, log

Encoded: TypeAlias = "bytes | Pixels"
Outcome: TypeAlias = "Prediction | BadImage | Exception"
_MOST = {"openvino": 8, "keras": KERAS_BATCH}


class Gate:
    """How many images are under way, and how many may be; for the event loop alone."""

    def __init__(self, most: int) -> None:
        self.most, self.inside = most, 0

    def enter(self, count: int) -> bool:
        """Take room for `count` images, or give False where there is none."""
        if self.inside + count > self.most:
            return False
        self.inside += count
        return True

    def leave(self, count: int) -> None:
        """Give the room back."""
        self.inside -= count


class Group:
    """The images of one request. `gone` is set when nobody waits for the answers any more."""

    __slots__ = ("done", "gone", "left", "outcomes")

    def __init__(self, count: int, done: asyncio.Future[None]) -> None:
        self.outcomes: list[Outcome] = [_UNWANTED] * count
        self.left, self.done, self.gone = count, done, False

    def take(self, index: int, outcome: Outcome) -> None:
        """Note the outcome of one image; on the event loop."""
        self.outcomes[index] = outcome
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


_UNWANTED = BadImage("nobody waits for it")
_Job: TypeAlias = tuple[Group, int, Encoded]
_Ready: TypeAlias = tuple[Group, int, list[Pixels]]
_Finished: TypeAlias = tuple[Group, int, Outcome]


class Batcher:
    """The threads of one classifier.

    Args:
        classifier: What answers.
        threads: How many images are decoded, and how many computed, at once.
        loop: The event loop that asks.
        observe: Called on it with the size of each batch.
    """

    def __init__(
        self,
        classifier: Classifier,
        threads: int,
        loop: asyncio.AbstractEventLoop,
        observe: Callable[[int], None],
    ) -> None:
        self._classifier, self._loop, self._observe = classifier, loop, observe
        self._engine = classifier.engine(threads)
        self._most = _MOST[classifier.prefix.identity.engine]
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._ready: SimpleQueue[_Ready | None] = SimpleQueue()
        self._decoders = [self._thread(self._decode_all, "decode") for _ in range(threads)]
        # Two, so that one fills the engine while the other finishes its batch.
        self._computers = [self._thread(self._compute_all, "compute") for _ in range(2)]

    def _thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        made = threading.Thread(target=work, name=f"headstart-{name}", daemon=True)
        made.start()
        return made

    def submit(self, images: Sequence[Encoded]) -> Group:
        """Begin with the images of one request; on the event loop."""
        group = Group(len(images), self._loop.create_future())
        for index, image in enumerate(images):
            self._jobs.put((group, index, image))
        return group

    def close(self) -> None:
        """End when all that was submitted is done; gives back at once."""
        for _ in self._decoders:
            self._jobs.put(None)
        threading.Thread(target=self._end, name="headstart-close", daemon=True).start()

    def _end(self) -> None:
        for thread in self._decoders:
            thread.join()
        for _ in self._computers:
            self._ready.put(None)

    def join(self, seconds: float = 60) -> None:
        """Wait, after `close`, until the threads have ended."""
        for thread in (*self._decoders, *self._computers):
            thread.join(seconds)

    def _decode_all(self) -> None:
        while (job := self._jobs.get()) is not None:
            group, index, image = job
            if group.gone:
                self._deliver([(group, index, _UNWANTED)])
                continue
            try:
                views = self._views(image)
            except BadImage as error:
                self._deliver([(group, index, error)])
            except Exception as error:  # of a decoder, for an image of its own kind of wrong
                log("defect", {"error": defect(error)}, level="error")
                self._deliver([(group, index, BadImage(f"broken: {type(error).__name__}"))])
            else:
                self._ready.put((group, index, views))
            del job, group, image

    def _views(self, image: Encoded) -> list[Pixels]:
        classifier = self._classifier
        plain = plain_view(image, classifier.image_size, classifier.resize)
        return prediction_views(plain, classifier.pixels.views, classifier.pixels.flip)

    def _compute_all(self) -> None:
        while (first := self._ready.get()) is not None:
            batch: list[tuple[Group, int]] = []
            try:
                outcomes: Sequence[Outcome] = self._compute(self._gather(first, batch))
            except Exception as error:
                outcomes = [error] * len(batch)
            finished = [(*job, outcome) for job, outcome in zip(batch, outcomes, strict=True)]
            if finished:
                self._deliver(finished, len(finished))
            del first, finished, batch, outcomes

    def _gather(self, first: _Ready, batch: list[tuple[Group, int]]) -> Iterator[Pixels]:
        """The views of what is ready, as long as there is more of it; jobs are put into `batch`."""
        item: _Ready | None = first
        while item is not None:
            group, index, views = item
            if group.gone:
                self._deliver([(group, index, _UNWANTED)])
            else:
                batch.append((group, index))
                yield from views
            if len(batch) >= self._most:
                return
            try:
                item = self._ready.get_nowait()
            except Empty:
                return
        self._ready.put(None)  # the end, which another loop has to see

    def _compute(self, views: Iterator[Pixels]) -> list[Prediction]:
        with closing(self._engine.stream(views)) as vectors:
            rows = list(vectors)
        if not rows:
            return []
        kept: Vectors = to_half(np.stack(rows)).astype(np.float32)
        shape = (-1, self._classifier.pixels.views, kept.shape[1])
        return list(self._classifier.answers(kept.reshape(shape)))

    def _deliver(self, finished: list[_Finished], batch: int = 0) -> None:
        try:
            self._loop.call_soon_threadsafe(self._take, finished, batch)
        except RuntimeError:  # the loop has ended, and with it who waited
            return

    def _take(self, finished: list[_Finished], batch: int) -> None:
        if batch:
            self._observe(batch)
        for group, index, outcome in finished:
            group.take(index, outcome)
