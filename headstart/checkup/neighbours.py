"""The nearest other images of each, by the cosine of their features; outliers, and near-copies.

Features in, for each row its nearest rows out, block by block. Above 20,000 images each is compared
with a random 20,000 of them: that serves to find outliers, and near-copies are then those that
the thumbnails show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.reference import unit_length

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
NEAREST = 6
MOST = 20_000
_BLOCK = 512
# Outliers lie this many quartile distances above the upper quartile (Tukey 1977 has 1.5 and 3).
_FAR = 2.0
_FEWEST = 20  # images, fewer have no usual distance
_AT_MOST = 0.01  # of the images are told as outliers, and 5: elsewhere it is the data that is wide


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of n rows the nearest others, nearest first.

    `rows` is int64 (n, k), -1 where there are not as many; `cosines` float32 (n, k), -1 to 1.
    `complete`: whether each row was compared with all others.
    """

    rows: Rows
    cosines: Floats
    complete: bool


def find_neighbours(
    features: npt.NDArray[np.float16], groups: Rows, seed: int, most: int = MOST
) -> Neighbours:
    """Find the nearest rows that are in another group of copies.

    Args:
        features: (n, width).
        groups: (n,) equal for copies of one image.
        seed: Draws what is compared with, where there are more than `most`.
        most: How many rows each is compared with.
    """
    count = len(features)
    chosen = np.arange(count)
    if count > most:
        chosen = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    reference = unit_length(features[chosen])
    nearest = min(NEAREST, len(chosen))
    rows = np.full((count, nearest), -1, np.int64)
    cosines = np.full((count, nearest), -1.0, np.float32)
    with progress.stage("neighbours", count) as stage:
        for start in range(0, count, _BLOCK):
            part = slice(start, min(start + _BLOCK, count))
            alike = unit_length(features[part]) @ reference.T
            alike[groups[part, None] == groups[chosen][None]] = -2
            best = np.argpartition(-alike, nearest - 1, axis=1)[:, :nearest]
            value = np.take_along_axis(alike, best, axis=1)
            order = np.argsort(-value, axis=1, kind="stable")
            value = np.take_along_axis(value, order, axis=1)
            found = chosen[np.take_along_axis(best, order, axis=1)]
            rows[part], cosines[part] = np.where(value > -2, found, -1), np.clip(value, -1, 1)
            stage.advance(part.stop - part.start)
    return Neighbours(rows, cosines, count <= most)


def outliers(neighbours: Neighbours) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Rows that are far from all others, at most 1 of 100, and the distance of every row.

    The farthest come first. The distance is one minus the mean cosine to the nearest, 0 to 2.
    """
    there = neighbours.rows >= 0
    known = np.maximum(there.sum(axis=1), 1)
    distance = 1 - (neighbours.cosines * there).sum(axis=1, dtype=np.float64) / known
    if len(distance) < _FEWEST:
        return np.empty(0, np.int64), distance
    low, high = np.quantile(distance, [0.25, 0.75])
    far = np.flatnonzero(distance > high + _FAR * (high - low))
    far = far[np.argsort(-distance[far], kind="stable")].astype(np.int64)
    return far[: max(5, int(_AT_MOST * len(distance)))], distance
