"""What every route asks: the answers for the images of one request, within the limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from headstart.explanation import drawn
from headstart.images import BadImage
from headstart.serving.batcher import Encoded, Gate, Group, Outcome
from headstart.serving.metrics import Metrics
from headstart.serving.models import Models, Version
from headstart.serving.place import Place
from headstart.serving.problem import Problem, busy, unknown_model
from headstart.serving.settings import Settings
from headstart.web.asgi import Message, Receive

_EXPLAINED = 4  # maps that are made or waited for


@dataclass(frozen=True)
class Answers:
    """The outcome of each image, and which version it comes from."""

    version: Version
    outcomes: list[Outcome]


class Service:
    """The models, the room for images, and the figures, of one process.

    Args:
        settings: How the server is to run.
        loop: The event loop on which requests are answered.
    """

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings, self.stopping = settings, False
        self._gate, self._maps = Gate(settings.queue), Gate(_EXPLAINED)
        self.metrics = Metrics(lambda: self._gate.inside)
        self.models = Models(settings.threads, loop, self.metrics.batch, self.metrics.load)
        self._explainer = ThreadPoolExecutor(1, thread_name_prefix="headstart-explain")

    def load(self, places: Sequence[Place]) -> None:
        """Load all models and begin to look for new versions.

        Raises:
            HeadstartError: A model cannot be used.
        """
        self.models.load(places)
        self.models.watch(self.settings.poll)

    def stop(self) -> None:
        """Say to who asks that others are to be asked; what has begun is ended."""
        self.stopping = True

    def close(self) -> None:
        """End all threads."""
        self._explainer.shutdown(cancel_futures=True)
        self.models.close()

    def version(self, name: str | None = None, version: str | None = None) -> Version:
        """What answers for a model, or for the default.

        Raises:
            Problem: There is no such model, or another version of it is served.
        """
        found = self.models.get(name)
        if found is None:
            raise unknown_model(name or "", self.models.names())
        if version is not None and version != found.version:
            raise Problem(
                404, f"Version {version[:20]} of '{found.name}' is not served: {found.version} is."
            )
        return found

    async def predict(
        self, version: Version, images: Sequence[Encoded], receive: Receive
    ) -> Answers:
        """Answer for the images of one request.

        Args:
            version: What is to answer, or what has taken its place since it was asked for.
            images: Encoded, or uint8 (height, width, 3).
            receive: By which it is noticed that the client has gone.

        Raises:
            Problem: There is no room.
        """
        version = self.version(version.name)  # a form may have come while versions were swapped
        count = len(images)
        if count > self.settings.max_images:
            raise Problem(
                413, f"{count} images in one request: at most {self.settings.max_images}."
            )
        if not self._gate.enter(count):
            raise busy()
        group = version.batcher.submit(images)
        watch = asyncio.ensure_future(_gone(group, receive))
        try:
            await group.done
        finally:
            group.gone = True
            watch.cancel()
            self._gate.leave(count)
        for outcome in group.outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, BadImage):
                raise outcome
        bad = sum(isinstance(one, BadImage) for one in group.outcomes)
        self.metrics.images(version.name, count - bad, bad)
        return Answers(version, group.outcomes)

    async def explain(
        self, version: Version, image: bytes, class_name: str | None, receive: Receive
    ) -> bytes:
        """The image with the map of what speaks for a class, as PNG, one at a time.

        Args:
            version: What is to answer.
            image: Encoded.
            class_name: The class; None for the answer.
            receive: By which it is noticed that the client has gone.

        Raises:
            Problem: Others are waiting already.
            BadImage: The image cannot be decoded.
            HeadstartError: There is no such class.
        """
        if not self._maps.enter(1):
            raise busy()
        loop = asyncio.get_running_loop()
        group = Group(1, loop.create_future())
        watch = asyncio.ensure_future(_gone(group, receive))

        def draw() -> bytes:
            if group.gone:
                raise BadImage("nobody waits for it")
            return drawn(version.classifier, image, class_name)

        try:
            return await loop.run_in_executor(self._explainer, draw)
        finally:
            watch.cancel()
            self._maps.leave(1)


async def _gone(group: Group, receive: Receive) -> None:
    """Note when the client goes away: what is not computed by then is not computed."""
    message: Message = {}
    while message.get("type") != "http.disconnect":
        message = await receive()
    group.gone = True
