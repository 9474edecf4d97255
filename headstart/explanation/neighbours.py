"""The nearest training images: those whose features point most nearly the same way.

What a bundle keeps of its training images goes in, the nearest come out. It is a sample of each
class, not all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from headstart.reference import Reference


@dataclass(frozen=True)
class Neighbour:
    """A training image near to another image.

    Attributes:
        name: Its file, for display.
        class_name: Its class.
        similarity: Cosine between the features of both, -1 to 1.
        thumbnail: A small JPEG of it; empty where there is none.
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
    """The training images that are nearest to an image, the nearest first.

    Args:
        features: Of the image, (features,).
        reference: The training images.
        class_names: The classes, in the order of their numbers.
        count: How many; fewer where there are not as many.
    """
    rows, distances = reference.nearest(features[None], count)
    return tuple(
        Neighbour(
            name=reference.names[row],
            class_name=class_names[int(reference.labels[row])],
            similarity=float(np.clip(1 - distance**2 / 2, -1, 1)),
            thumbnail=reference.thumbnails[row],
        )
        for row, distance in zip(rows[0].tolist(), distances[0].tolist(), strict=True)
    )
