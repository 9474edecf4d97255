"""Folds for cross-validation: labels and groups in, the number of a fold for each row out."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from headstart.heads.data import Rows

Used: TypeAlias = npt.NDArray[np.bool_]


def assign_folds(labels: Rows, groups: Rows | None, folds: int, seed: int) -> Rows:
    """Spread each class evenly over the folds; a group of copies stays in one fold.

    Args:
        labels: (n,) classes.
        groups: (n,) numbers; rows with the same number stay together. None: each row is alone.
        folds: How many.
        seed: The same seed gives the same folds on every platform.

    Returns:
        int64 (n,), 0 to `folds` - 1.
    """
    if groups is None:
        groups = np.arange(len(labels))
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    label = labels[first]  # a group with several labels counts as that of its first row
    random = np.random.Generator(np.random.PCG64(seed)).random(len(first))
    fold = np.empty(len(first), np.int64)
    # Dealt out like cards, class by class, so that the folds are even in total too.
    fold[np.lexsort((random, label))] = np.arange(len(first)) % folds
    return fold[inverse.reshape(-1)]


def draw_part(labels: Rows, used: Used, fraction: float, seed: int) -> Used:
    """Some of the rows in use, as many of each class in proportion; a larger part has them too.

    Args:
        labels: (n,) classes.
        used: (n,) which rows may be drawn.
        fraction: Above 0, up to 1; each class in use keeps one row at least.
        seed: The same seed gives the same rows on every platform.
    """
    random = np.random.Generator(np.random.PCG64([seed, 1])).random(len(labels))
    rows = np.flatnonzero(used)
    order = rows[np.lexsort((random[rows], labels[rows]))]
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    position = np.arange(len(order)) - np.repeat(first, counts)
    drawn = np.zeros(len(labels), bool)
    drawn[order[position < fraction * np.repeat(counts, counts)]] = True
    return drawn
