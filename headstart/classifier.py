"""A trained classifier: images in, class probabilities out; needs neither Keras nor TensorFlow.

An image goes the way it went in training: the same decoder, the same engine in the same precision,
features rounded to float16 as they are kept, then the head. So a prediction equals what was
evaluated. Where several views of an image are asked for, their probabilities are averaged.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart.answers import Prediction, Unreadable
from headstart.augment import prediction_views
from headstart.decision import Decision
from headstart.engine import Engine, to_half
from headstart.errors import HeadstartError
from headstart.heads import Head
from headstart.heads.head import AnyFloats
from headstart.images import BadImage, Pixels, decode, from_array, read_bytes
from headstart.prefix import Prefix
from headstart.reference import Reference, strangeness
from headstart.workers import map_in_order

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | Pixels | Image.Image"
Vectors: TypeAlias = npt.NDArray[np.float32]
_BATCH = 256  # images whose features are put through the head at once


@dataclass(frozen=True)
class PixelChoices:
    """How an image becomes what the network sees.

    `resize` is `squash`, `crop` or `pad`; a prediction is averaged over `views` views of an image,
    among them mirror images where `flip` says that these show the same.
    """

    resize: str = "squash"
    views: int = 1
    flip: bool = True


class Classifier:
    """Head and frozen prefix together; made by `headstart.fit` and `headstart.load`.

    Attributes:
        class_names: The classes, in the order of `predict_proba`'s columns.
        prefix: The frozen network.
        head: The classifier put on its features.
        pixels: How an image becomes what the network sees.
        decision: The thresholds of `Prediction.candidates` and `unknown`, or None.
        reference: Training images that a new one is compared with, or None.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        prefix: Prefix,
        head: Head,
        pixels: PixelChoices,
        decision: Decision | None = None,
        reference: Reference | None = None,
    ) -> None:
        if head.width != prefix.width or head.num_classes != len(class_names):
            raise HeadstartError(
                f"The head does not fit. Expected {prefix.width} features and {len(class_names)} "
                f"classes; received {head.width} and {head.num_classes}. Take all files from the "
                "same bundle."
            )
        self.class_names = tuple(class_names)
        self.prefix, self.head, self.pixels = prefix, head, pixels
        self.decision, self.reference = decision, reference
        self._engine: Engine | None = None
        self._opening = threading.Lock()

    @property
    def resize(self) -> str:
        """How an image is brought to `image_size`: `squash`, `crop` or `pad`."""
        return self.pixels.resize

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels at which the network sees an image."""
        return self.prefix.identity.image_size

    def choose_level(self, level: float) -> None:
        """Let `Prediction.candidates` hold the true class as often as this: 0.8, 0.9, 0.95 or 0.99.

        Raises:
            HeadstartError: There are no sets for it.
        """
        self.decision = (self.decision or Decision({}, (), "")).at(level)

    @overload
    def predict(self, images: ImageInput) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, images: Sequence[ImageInput]) -> list[Prediction]: ...
    def predict(self, images: ImageInput | Sequence[ImageInput]) -> Prediction | list[Prediction]:
        """Classify one image or several.

        Args:
            images: A path, the bytes of an image file, a uint8 RGB array (height, width, 3), a
                Pillow image, or a sequence of these.

        Returns:
            One `Prediction`, or a list of them in the order given.

        Raises:
            BadImage: An image cannot be decoded; the text names it.
        """
        found = self._finish(self._all(images, self.pixels.views))
        answers = [one for one in found if isinstance(one, Prediction)]
        return answers[0] if _is_one(images) else answers

    def predict_proba(self, images: ImageInput | Sequence[ImageInput]) -> Vectors:
        """Class probabilities, float32 (n, classes); each row adds up to 1; n is 1 for one image.

        Raises:
            BadImage: An image cannot be decoded; the text names it.
        """
        rows = [vectors for _, vectors in self._all(images, self.pixels.views)]
        if not rows:
            return np.empty((0, len(self.class_names)), np.float32)
        return self._probabilities(np.stack(rows))

    def embed(self, images: ImageInput | Sequence[ImageInput]) -> Vectors:
        """The features that the frozen network gives, float32 (n, features).

        Raises:
            BadImage: An image cannot be decoded; the text names it.
        """
        rows = [vectors[0] for _, vectors in self._all(images, 1)]
        return np.stack(rows) if rows else np.empty((0, self.prefix.width), np.float32)

    def predict_files(
        self, paths: Iterable[str | os.PathLike[str]]
    ) -> Iterator[Prediction | Unreadable]:
        """Classify any number of files in order, with bounded memory.

        A broken file does not stop the others.
        """
        block: list[tuple[ImageInput, Vectors | BadImage]] = []
        for pair in self._stream(_several(paths), self.pixels.views):
            block.append(pair)
            if len(block) == _BATCH:
                yield from self._finish(block)
                block = []
        yield from self._finish(block)

    def _all(
        self, images: ImageInput | Sequence[ImageInput], views: int
    ) -> list[tuple[ImageInput, Vectors]]:
        """Each image with its views' features; the first bad one is an error that names it."""
        found: list[tuple[ImageInput, Vectors]] = []
        for number, (image, result) in enumerate(self._stream(_several(images), views), start=1):
            if isinstance(result, BadImage):
                raise _named(result, image, 0 if _is_one(images) else number) from result
            found.append((image, result))
        return found

    def _finish(
        self, block: Sequence[tuple[ImageInput, Vectors | BadImage]]
    ) -> Iterator[Prediction | Unreadable]:
        vectors = [result for _, result in block if not isinstance(result, BadImage)]
        rows = iter(self.answers(np.stack(vectors)) if vectors else ())
        for image, result in block:
            source = os.fspath(image) if isinstance(image, str | os.PathLike) else ""
            if isinstance(result, BadImage):
                yield Unreadable(source, str(result))
            else:
                yield replace(next(rows), source=source)

    def _probabilities(self, vectors: Vectors) -> Vectors:
        """Mean over the views: features (n, views, width) -> (n, classes)."""
        count, views, width = vectors.shape
        each = self.head.probabilities(vectors.reshape(count * views, width))
        if views == 1:
            return each
        mean: Vectors = each.reshape(count, views, -1).mean(axis=1)
        return mean

    def answers(self, vectors: Vectors) -> Iterator[Prediction]:
        """The answer for each of n images, of features (n, views, width) as they are kept."""
        probabilities, names = self._probabilities(vectors), self.class_names
        sets = None if self.decision is None else self.decision.sets(probabilities)
        strange = self.strange(vectors[:, 0])
        for row, values in enumerate(probabilities):
            order = np.argsort(-values, kind="stable")
            ranked = {names[index]: float(values[index]) for index in order}
            found = None if sets is None else tuple(names[at] for at in order if sets[row, at])
            best = int(order[0])
            yield Prediction(
                names[best], float(values[best]), ranked, "", found, bool(strange[row])
            )

    def strange(self, features: AnyFloats) -> npt.NDArray[np.bool_]:
        """Whether images are unlike all that were trained on, (n,), by features (n, width)."""
        decision, known = self.decision, self.reference
        if decision is None or decision.unknown_beyond is None or known is None:
            return np.zeros(len(features), bool)
        found = strangeness(known, self.head, decision.by_energy, features)
        return np.asarray(found > decision.unknown_beyond)

    def _stream(
        self, images: Iterable[ImageInput], views: int
    ) -> Iterator[tuple[ImageInput, Vectors | BadImage]]:
        """Each image with its features (views, width), or with what is wrong with it, in order."""
        decode_views = functools.partial(self._decode, views=views)
        given: deque[tuple[ImageInput, BadImage | None]] = deque()  # not answered yet
        with (
            closing(map_in_order(decode_views, images)) as decoded,
            closing(self.engine().stream(_good(decoded, given))) as vectors,
        ):
            for several in _in_groups(vectors, views):
                yield from _take_bad(given)
                yield given.popleft()[0], several
            yield from _take_bad(given)

    def engine(self, threads: int = 0) -> Engine:
        """What runs the network; the first call starts it, with so many threads (0: all)."""
        with self._opening:
            if self._engine is None:
                self._engine = self.prefix.open(threads)
            return self._engine

    def _decode(
        self, image: ImageInput, *, views: int
    ) -> tuple[ImageInput, list[Pixels] | BadImage]:
        try:
            plain = plain_view(image, self.image_size, self.resize)
            return image, prediction_views(plain, views, self.pixels.flip)
        except BadImage as error:
            return image, BadImage(str(error))  # its traceback would keep the pixels in memory


def _good(
    decoded: Iterable[tuple[ImageInput, list[Pixels] | BadImage]],
    given: deque[tuple[ImageInput, BadImage | None]],
) -> Iterator[Pixels]:
    for image, result in decoded:
        if isinstance(result, BadImage):
            given.append((image, result))
        else:
            given.append((image, None))
            yield from result


def _in_groups(vectors: Iterable[Vectors], size: int) -> Iterator[Vectors]:
    """Every `size` vectors as one array (size, width), rounded as they are kept."""
    group: list[Vectors] = []
    for vector in vectors:
        group.append(to_half(vector).astype(np.float32))
        if len(group) == size:
            yield np.stack(group)
            group = []


def _take_bad(
    given: deque[tuple[ImageInput, BadImage | None]],
) -> Iterator[tuple[ImageInput, BadImage]]:
    """The images at the beginning that are bad."""
    while given and (reason := given[0][1]) is not None:
        yield given.popleft()[0], reason


def _is_one(images: Any) -> bool:
    if isinstance(images, np.ndarray):
        return images.ndim < 4
    one = isinstance(images, str | os.PathLike | bytes | Image.Image)
    return one or not isinstance(images, Iterable)


def _several(images: Any) -> Iterable[Any]:
    return [images] if _is_one(images) else images


def _named(reason: BadImage, image: ImageInput, number: int) -> BadImage:
    """With the file's name before it, or the number of an image that has none."""
    if isinstance(image, str | os.PathLike):
        return BadImage(f"{Path(image)}: {reason}")
    return BadImage(f"image {number}: {reason}") if number else reason


def plain_view(image: ImageInput, image_size: tuple[int, int], resize: str) -> Pixels:
    """What a network sees of an image, uint8 (height, width, 3); or BadImage, the reason alone."""
    if isinstance(image, bytes | str | os.PathLike):
        data = image if isinstance(image, bytes) else read_bytes(image)
        return decode(data, image_size, resize).pixels
    return from_array(image, image_size, resize)
