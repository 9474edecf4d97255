"""What enters the part that learns: kept features of views, or images made into views anew."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from headstart.augment import Augmentation, make_views
from headstart.features import Features
from headstart.features.extraction import Source
from headstart.heads.head import Floats
from headstart.images import BadImage, read_bytes
from headstart.workers import map_in_order

Rows = npt.NDArray[np.int64]


class Inputs(Protocol):
    """What enters the part that learns, for a set of images."""

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Rows:
        """Choose a view of each of `count` images for an epoch (from 1), (count,)."""
        ...

    def read(self, rows: Rows, views: Rows) -> Any:
        """The given view of each image, float32 or uint8 (m, ...)."""
        ...


@dataclass(frozen=True)
class KeptInputs:
    """Kept features at a cut, read from the store batch by batch."""

    features: Features
    shape: tuple[int, ...]

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Rows:
        """Any of the kept views, the image itself among them."""
        return generator.integers(0, self.features.views.count + 1, count)

    def read(self, rows: Rows, views: Rows) -> Any:
        """Features as float32 (m, *shape)."""
        return self.features.matrix(rows, views).astype(np.float32).reshape(-1, *self.shape)


@dataclass(frozen=True)
class ImageInputs:
    """Images decoded anew for each batch; every epoch sees another view of each."""

    images: Sequence[Source]
    image_size: tuple[int, int]
    resize: str
    augmentation: Augmentation

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Rows:
        """The view that has the epoch's number."""
        return np.full(count, epoch)

    def read(self, rows: Rows, views: Rows) -> Any:
        """Pixels as uint8 (m, height, width, 3)."""
        return np.stack(
            [self._view(int(row), int(view)) for row, view in zip(rows, views, strict=True)]
        )

    def _view(self, row: int, view: int) -> npt.NDArray[np.uint8]:
        image = self.images[row]
        try:
            data = image if isinstance(image, bytes) else read_bytes(image)
            (pixels,) = make_views(data, self.image_size, self.resize, self.augmentation, [view])
        except BadImage as error:
            name = f"image {row + 1}" if isinstance(image, bytes) else image
            raise BadImage(
                f"{name} could be read a moment ago and cannot be read any more: {error}"
            ) from error
        return pixels


@dataclass(frozen=True)
class Plain:
    """Other inputs without their random views."""

    inputs: Inputs

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Rows:
        """The image itself."""
        return np.zeros(count, np.int64)

    def read(self, rows: Rows, views: Rows) -> Any:
        """As the other inputs give them."""
        return self.inputs.read(rows, views)


@dataclass(frozen=True)
class Some:
    """Some of the images of other inputs."""

    inputs: Inputs
    rows: Rows

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Rows:
        """As the other inputs draw."""
        return self.inputs.draw(count, epoch, generator)

    def read(self, rows: Rows, views: Rows) -> Any:
        """As the other inputs give them."""
        return self.inputs.read(self.rows[rows], views)


def batches(inputs: Inputs, rows: Rows, views: Rows, size: int) -> Generator[tuple[slice, Any]]:
    """Read batch after batch, two ahead, in threads: which of the rows, and what enters."""

    def read(part: slice) -> tuple[slice, Any]:
        return part, inputs.read(rows[part], views[part])

    parts = [slice(start, start + size) for start in range(0, len(rows), size)]
    with closing(map_in_order(read, parts, threads=2, ahead=3)) as found:
        yield from found


def mix(inputs: Any, targets: Floats, alpha: float, generator: np.random.Generator) -> Any:
    """Mix each image of a batch with another: mixup (https://arxiv.org/abs/1710.09412)."""
    share = generator.beta(alpha, alpha, len(targets)).astype(np.float32)
    other = generator.permutation(len(targets))
    wide = share.reshape(-1, *[1] * (inputs.ndim - 1))
    mixed = wide * inputs + (1 - wide) * inputs[other]
    return (
        mixed.astype(inputs.dtype),
        share[:, None] * targets + (1 - share[:, None]) * targets[other],
    )
