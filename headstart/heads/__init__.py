"""Classifiers on features: `fit_head` gives a `Head`, which is plain matrices whatever its kind.

`linear` is logistic regression, `prototype` the nearest class mean, `mlp` the tutorial's Dense 128.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from threadpoolctl import threadpool_limits

from headstart.errors import HeadstartError
from headstart.heads.data import (
    HeadFit,
    HeldOut,
    Learnt,
    Rows,
    TrainingData,
    choose_class_weight,
    choose_head,
)
from headstart.heads.head import Floats, Head, head_from_arrays
from headstart.recipe import HEADS

__all__ = [
    "Head",
    "HeadFit",
    "HeldOut",
    "Learnt",
    "TrainingData",
    "answer_held_out",
    "choose_class_weight",
    "choose_head",
    "fit_head",
    "head_from_arrays",
]

# Features x classes up to which one thread fits the head: the result is then the same for any
# number of processors, and on a busy machine it is 20 times faster than threads that wait for each
# other.
_ONE_THREAD = 2_000_000_000


def fit_head(
    kind: str,
    data: TrainingData,
    *,
    seed: int = 0,
    class_weight: str = "auto",
    epochs: int | None = None,
) -> HeadFit:
    """Fit a head of the given kind.

    Args:
        kind: `linear`, `prototype`, `mlp`, or `auto` by the number of images.
        data: Features and labels.
        seed: Fixes everything random; the same data and seed give the same head, bit for bit.
        class_weight: `auto`, `balanced` or `none`.
        epochs: Of the mlp, all of them; None stops it by the validation loss.

    Raises:
        HeadstartError: An unknown kind or class weight, or features that are not finite.
    """
    kind = choose_head(data.counts) if kind == "auto" else kind
    fit: Callable[..., HeadFit]
    if kind == "linear":
        from headstart.heads.linear import fit_linear

        fit = fit_linear
    elif kind == "prototype":
        from headstart.heads.prototype import fit_prototype

        fit = fit_prototype
    elif kind == "mlp":
        from headstart.heads.mlp import fit_mlp

        fit = functools.partial(fit_mlp, epochs=epochs)
    else:
        raise HeadstartError(
            f"There is no head '{kind}'. Expected one of: {', '.join(HEADS)}. Choose one of these."
        )
    with _threads(data):
        return fit(data, seed=seed, class_weight=class_weight)


def answer_held_out(data: TrainingData, *, seed: int = 0) -> tuple[Rows, Floats]:
    """How each row is answered by a linear head that was fitted on other rows.

    See `headstart.heads.linear.answer_held_out`.
    """
    from headstart.heads import linear

    with _threads(data):
        return linear.answer_held_out(data, seed=seed)


def _threads(data: TrainingData) -> AbstractContextManager[object]:
    """One thread for the algebra, unless there is very much of it."""
    if data.features.size * data.num_classes > _ONE_THREAD:
        return nullcontext()
    limit: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limit
