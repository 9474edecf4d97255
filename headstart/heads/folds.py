"""Folds for cross-validation: labels and groups in, the number of a fold for each row out."""

from __future__ import annotations

import numpy as np

from headstart.heads.data import Rows


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
