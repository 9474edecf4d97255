"""The nearest training images: those whose features point most nearly the same way.

A bundle's reference goes in (unit features of training images, their classes, names and
thumbnails), the nearest come out. Not all training images are in it: it is a sample of each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Reference(Protocol):
    """Training images that others are compared with.

    Attributes:
        vectors: float16 (m, features), each of length 1.
        labels: Numbers of their classes, (m,).
        names: Their files, for display.
        thumbnails: Small JPEG images.
    """

    @property
    def vectors(self) -> npt.NDArray[np.float16]: ...  # noqa: D102
    @property
    def labels(self) -> npt.NDArray[np.int64]: ...  # noqa: D102
    @property
    def names(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def thumbnails(self) -> Sequence[bytes]: ...  # noqa: D102


@dataclass(frozen=True)
class Neighbour:
    """A training image near to another image.

    Attributes:
        name: Its file, for display.
        class_name: Its class.
        similarity: Cosine between the features of both, -1 to 1.
        thumbnail: A small JPEG of it.
    """

    name: str
    class_name: str
    similarity: float
    thumbnail: bytes = field(repr=False)


def nearest(
    features: npt.NDArray[np.float32],
    reference: Reference,
    class_names: Sequence[str],
    count: int,
) -> tuple[Neighbour, ...]:
    """The `count` training images that are nearest to an image, the nearest first.

    Args:
        features: Of the image, (features,).
        reference: The training images.
        class_names: The classes, in the order of their numbers.
        count: How many, at most.
    """
    length = float(np.linalg.norm(features))
    unit = features / np.float32(length or 1.0)
    cosines = reference.vectors.astype(np.float32) @ unit
    order = np.argsort(-cosines, kind="stable")[:count]
    return tuple(
        Neighbour(
            name=reference.names[row],
            class_name=class_names[int(reference.labels[row])],
            similarity=float(np.clip(cosines[row], -1, 1)),
            thumbnail=reference.thumbnails[row],
        )
        for row in order.tolist()
    )
