"""Features with labels, drawn at random, and the exact bits of a head, for the tests of heads."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.heads import Head, TrainingData
from headstart.heads.head import AnyFloats

Labels = npt.NDArray[np.int64]


def make_rows(
    counts: list[int], width: int, *, noise: float = 1.0, seed: int = 0, kind: Any = np.float16
) -> tuple[AnyFloats, Labels]:
    """Rows around a centre for each class, features of different size, in random order.

    Args:
        counts: How many rows each class gets.
        width: How many features a row has.
        noise: Spread around the centre; the centres have 1.
        seed: Another seed gives other rows around the same centres.
        kind: float16 or float32.
    """
    fixed, rng = np.random.default_rng(len(counts)), np.random.default_rng(seed)
    centres = fixed.normal(size=(len(counts), width))
    size, middle = fixed.uniform(0.1, 3, width), 5 * fixed.normal(size=width)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)
    rows = centres[labels] + noise * rng.normal(size=(len(labels), width))
    return (rows * size + middle).astype(kind), labels


def make_data(
    counts: list[int],
    width: int,
    *,
    noise: float = 1.0,
    validation: int = 0,
    groups: Labels | None = None,
    kind: Any = np.float16,
) -> TrainingData:
    """Training data; with `validation` that many more rows a class to stop by."""
    features, labels = make_rows(counts, width, noise=noise, kind=kind)
    if not validation:
        return TrainingData(features, labels, len(counts), groups=groups)
    held = make_rows([validation] * len(counts), width, noise=noise, seed=1, kind=kind)
    return TrainingData(features, labels, len(counts), *held, groups)


def head_digest(head: Head) -> str:
    """A name for the exact bits of a head."""
    total = hashlib.sha256(head.kind.encode())
    for name, array in sorted(head.arrays().items()):
        total.update(f"{name} {array.shape}".encode() + array.tobytes())
    return total.hexdigest()
