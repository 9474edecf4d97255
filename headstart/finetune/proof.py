"""Proof of what learned: weights before and after, layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart.errors import HeadstartError

Arrays = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Proof:
    """Which layers moved, and which are bit for bit as before, of all that have weights."""

    moved: tuple[str, ...]
    frozen: tuple[str, ...]


def prove(
    before: Arrays, after: Arrays, learns: Sequence[str], fixed: Collection[str] = ()
) -> Proof:
    """Make sure that exactly the layers that should have learned have moved.

    Args:
        before: Weights by `layer/number`.
        after: The same after training.
        learns: The layers that were to learn.
        fixed: Weights of these that were not to change: the statistics of batch norm.

    Raises:
        HeadstartError: A frozen layer has moved, or one that was to learn has not.
    """
    layers = list(dict.fromkeys(name.rpartition("/")[0] for name in before))
    weights = [name for name, value in before.items() if not np.array_equal(value, after[name])]
    changed = {name.rpartition("/")[0] for name in weights}
    moved = tuple(layer for layer in layers if layer in changed)
    wrongly = [layer for layer in moved if layer not in learns]
    wrongly += [name for name in weights if name in fixed]
    if wrongly:
        raise HeadstartError(
            f"Layers that were frozen have changed: {', '.join(wrongly)}. Expected them to be bit "
            "for bit as before. Nothing was kept; this is a defect of headstart, please report it."
        )
    still = [layer for layer in layers if layer in learns and layer not in changed]
    if still:
        raise HeadstartError(
            f"Layers that were unfrozen have not changed: {', '.join(still[:8])}. Expected each to "
            "move at least in its last bit. Take a higher learning rate, or unfreeze less."
        )
    return Proof(moved, tuple(layer for layer in layers if layer not in changed))
