"""Some of the training images, to compare new ones with: which are nearest, and how far they are.

The distance is that between features of unit length, from 0 (the same direction) to 2. An image
whose k-th nearest training image is further away than nearly all held-out images have theirs is
unlike all of them (Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors",
https://arxiv.org/abs/2204.06507).
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart import progress
from headstart.heads import Head
from headstart.images import BadImage, decode, read_bytes
from headstart.metrics import Numbers, Rows
from headstart.workers import map_in_order

FILES = ("reference.safetensors", "reference.json")
_USUAL_IMAGES, _MOST_IMAGES, _OF_CLASS = 1000, 2000, 10
NEIGHBOURS = 3
THUMBNAIL = 64  # pixels
_BLOCK = 512  # images that are compared at once
Source = Path | bytes
AnyFloats = npt.NDArray[np.float16] | npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reference:
    """What is kept of m training images.

    Attributes:
        features: float16 (m, width), of unit length.
        labels: int64 (m,), their classes.
        names: Where they are below the data's folder, fit to be shown.
        thumbnails: A JPEG of each, 64 x 64 pixels; empty where there is none.
    """

    features: npt.NDArray[np.float16]
    labels: Rows
    names: tuple[str, ...]
    thumbnails: tuple[bytes, ...]

    def distances(self, features: AnyFloats, *, itself: bool = False) -> Numbers:
        """Distance of each image (n, width) to the k-th nearest training image, (n,).

        Args:
            features: As the network gives them.
            itself: Whether each image is among the training images; it then counts for nothing.
        """
        place = min(NEIGHBOURS + itself, len(self.labels)) - 1
        result = np.empty(len(features))
        for start in range(0, len(features), _BLOCK):
            rows = slice(start, start + _BLOCK)
            likeness = self._likeness(features[rows])
            chosen = np.partition(likeness, -place - 1, axis=1)[:, -place - 1]
            result[rows] = np.sqrt(np.maximum(2 - 2 * chosen, 0))
        return result

    def nearest(self, features: AnyFloats, count: int) -> tuple[Rows, Numbers]:
        """The nearest training images of each image (n, width), the nearest first.

        Returns:
            Their rows in `labels`, `names` and `thumbnails`, (n, count), and their distances,
            (n, count); count is at most m.
        """
        likeness = self._likeness(features)
        order = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
        near = np.take_along_axis(likeness, order, axis=1).astype(np.float64)
        return order, np.sqrt(np.maximum(2 - 2 * near, 0))

    def _likeness(self, features: AnyFloats) -> npt.NDArray[np.float32]:
        """Cosine of the angle between the features of each pair, (n, m)."""
        result: npt.NDArray[np.float32] = unit_length(features) @ self._columns
        return result

    @functools.cached_property
    def _columns(self) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(self.features.T, np.float32)

    def save(self, folder: Path, *, images: bool = True) -> None:
        """Write `FILES` into a folder; with or without the thumbnails."""
        from safetensors.numpy import save

        shown = self.thumbnails if images else (b"",) * len(self.thumbnails)
        ends = np.cumsum([0, *map(len, shown)]).astype(np.int64)
        arrays: dict[str, npt.NDArray[Any]] = {
            "features": np.ascontiguousarray(self.features),
            "labels": self.labels.astype(np.int64),
            "thumbnails": np.frombuffer(b"".join(shown), np.uint8),
            "ends": ends,
        }
        (folder / FILES[0]).write_bytes(save(arrays))
        text = json.dumps({"names": list(self.names)}, indent=2)
        (folder / FILES[1]).write_text(text, encoding="utf-8")


def read_reference(folder: Path, width: int, num_classes: int) -> Reference | None:
    """What `Reference.save` wrote; None where there is nothing.

    Raises:
        LookupError, TypeError, ValueError, OSError, SafetensorError: It is damaged.
    """
    from safetensors.numpy import load_file

    if not (folder / FILES[0]).is_file():
        return None
    arrays = load_file(folder / FILES[0])
    names = tuple(map(str, json.loads((folder / FILES[1]).read_text(encoding="utf-8"))["names"]))
    features, labels, ends = arrays["features"], arrays["labels"], arrays["ends"]
    content = arrays["thumbnails"].tobytes()
    if (
        features.shape != (len(names), width)
        or labels.shape != (len(names),)
        or ends.shape != (len(names) + 1,)
        or not names
        or not 0 <= labels.min() <= labels.max() < num_classes
    ):
        raise ValueError(f"the training images in {FILES[0]} do not fit")
    thumbnails = tuple(content[ends[row] : ends[row + 1]] for row in range(len(names)))
    return Reference(features.astype(np.float16), labels.astype(np.int64), names, thumbnails)


def strangeness(reference: Reference, head: Head, by_energy: float, features: AnyFloats) -> Numbers:
    """How unlike all training images each image (n, width) is, (n,).

    The distance to them and, times `by_energy`, the energy of the head: a network that learned to
    tell the classes apart sees less of what else is in an image, so its distances alone say less.
    """
    found = reference.distances(features)
    return found + by_energy * head.energies(features) if by_energy else found


def unit_length(features: AnyFloats) -> npt.NDArray[np.float32]:
    """Features (n, width), each row divided by its length."""
    values = features.astype(np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", values, values))[:, None]
    result: npt.NDArray[np.float32] = values / np.maximum(length, np.float32(1e-12))
    return result


def images_to_keep(num_classes: int) -> int:
    """How many training images are kept: 1,000, and up to 2,000 of many classes."""
    return min(_MOST_IMAGES, max(_USUAL_IMAGES, _OF_CLASS * num_classes))


def make_reference(
    features: AnyFloats, labels: Rows, names: Sequence[str], images: Sequence[Source]
) -> Reference:
    """Keep training images (m, width), with the name of each and a thumbnail of its middle."""
    kept = unit_length(features).astype(np.float16)
    with progress.stage("thumbnails", len(images)) as stage:
        thumbnails = []
        for one in map_in_order(_thumbnail, images):
            thumbnails.append(one)
            stage.advance()
    return Reference(kept, labels, tuple(names), tuple(thumbnails))


def _thumbnail(image: Source) -> bytes:
    try:
        data = image if isinstance(image, bytes) else read_bytes(image)
        pixels = decode(data, (THUMBNAIL, THUMBNAIL), "crop").pixels
    except BadImage:  # it has gone or changed since it was learned from
        return b""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return file.getvalue()
