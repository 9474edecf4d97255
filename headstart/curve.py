"""Would more images help? What heads reach that learned from parts of the images, and beyond.

The linear head on frozen features, each image answered by a head that has not seen it. The share of
wrong answers is taken to fall as a power of the number of images (Hestness et al. 2017, "Deep
learning scaling is predictable, empirically", https://arxiv.org/abs/1712.00409), with an interval
by drawing the answered images anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.heads import Learnt
from headstart.metrics import Numbers, Rows, wilson_interval

FEWEST_IMAGES = 40  # answered; fewer tell nothing about a slope
_DRAWS, _DRAWN_IMAGES = 400, 4_000_000
_POINTS = 3  # the largest, that the power is fitted to
_FACTOR = 2  # how many times the images are looked ahead
_WORTH = 0.01  # accuracy; more than that is help
_LITTLE = 0.005
_TAILS = (2.5, 97.5)  # percent
_GOOD = 0.98  # recall


def learning_curve(
    learnt: Learnt, labels: Rows, class_names: Sequence[str], images: int
) -> dict[str, Any] | None:
    """The curve, what twice as many images are expected to give, and which class needs them.

    Args:
        learnt: How the rows were answered.
        labels: (n,) the true class of each row.
        class_names: One for each class.
        images: How many there are to learn from in all.

    Returns:
        JSON values: `points` (images, accuracy and its 95% interval), `expected` (the same, for
        twice the images), `verdict` in words, and `classes` (recall with interval, and advice).
        None where too few images were answered, or by heads of one size only.
    """
    right, sizes = learnt.right, np.array(learnt.images, np.float64)
    if right.shape[1] < FEWEST_IMAGES or len(sizes) < 2 or sizes[0] < 2:
        return None
    points = [
        {"images": count, "accuracy": float(row.mean()), **_interval(row)}
        for count, row in zip(learnt.images, right, strict=True)
    ]
    targets = np.array([images, _FACTOR * images], np.float64)
    drawn = _extrapolate(_redrawn_errors(right), sizes, targets)  # (2, draws)
    now, later = _extrapolate(1 - right.mean(axis=1, keepdims=True), sizes, targets)[:, 0]
    low, high = 1 - np.percentile(drawn[1], _TAILS[::-1])
    gains = np.percentile(drawn[0] - drawn[1], _TAILS)
    expected = {
        "images": int(targets[1]),
        "accuracy": float(1 - later),
        "low": float(min(low, 1 - later)),
        "high": float(max(high, 1 - later)),
    }
    verdict = _verdict(float(now - later), gains, expected)
    classes = _class_rows(learnt, labels, class_names, rising=float(now - later) >= _LITTLE)
    return {"points": points, "expected": expected, "verdict": verdict, "classes": classes}


def _interval(right: npt.NDArray[np.bool_]) -> dict[str, float]:
    low, high = wilson_interval(int(right.sum()), len(right))
    return {"low": low, "high": high}


def _redrawn_errors(right: npt.NDArray[np.bool_]) -> Numbers:
    """Share of wrong answers in images drawn anew, the same for all sizes, (sizes, draws)."""
    count = right.shape[1]
    draws = int(np.clip(_DRAWN_IMAGES // count, 50, _DRAWS))
    rng = np.random.Generator(np.random.PCG64(0))
    wrong = ~right
    errors = [
        np.bincount(rng.integers(0, count, count), minlength=count) @ wrong.T / count
        for _ in range(draws)
    ]
    return np.array(errors).T


def _extrapolate(errors: Numbers, sizes: Numbers, targets: Numbers) -> Numbers:
    """The error expected at other numbers of images: (sizes, draws) -> (targets, draws).

    More images never make it worse; the power is that of the largest sizes.
    """
    x = np.log(sizes[-_POINTS:])
    y = np.log(np.maximum(errors[-_POINTS:], 1e-4))
    middle = x.mean()
    power = np.minimum((x - middle) @ (y - y.mean(axis=0)) / ((x - middle) ** 2).sum(), 0.0)
    away = np.log(targets) - middle
    result: Numbers = np.minimum(np.exp(y.mean(axis=0) + power * away[:, None]), 1.0)
    return result


def _verdict(gain: float, interval: Numbers, expected: dict[str, Any]) -> str:
    """In words."""
    if interval[0] >= _WORTH:
        said = "More images would help"
    elif gain >= _LITTLE:
        said = "More images would probably help"
    else:
        said = "More images would hardly help"
    return (
        f"{said}: with {expected['images']} to learn from, twice as many, a linear head on frozen "
        f"features is expected to reach {expected['accuracy']:.3f} ({expected['low']:.3f} to "
        f"{expected['high']:.3f}), {100 * gain:.1f} points more than such a head reaches now."
    )


def _class_rows(
    learnt: Learnt, labels: Rows, class_names: Sequence[str], *, rising: bool
) -> list[dict[str, Any]]:
    """Recall of each class with all images, its interval, and what to do."""
    true, last, before = labels[learnt.rows], learnt.right[-1], learnt.right[-2]
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(class_names):
        own = true == label
        there = bool(own.any())
        recall = float(last[own].mean()) if there else None
        ends = _interval(last[own]) if there else {"low": None, "high": None}
        gain = float(last[own].mean() - before[own].mean()) if there else None
        rows.append({"name": name, "recall": recall, **ends, "gain": gain, "advice": ""})
    known = [one for one in rows if one["recall"] is not None]
    if not known:
        return rows
    worst = min(known, key=lambda one: (one["recall"], one["name"]))
    for one in known:
        if one["recall"] >= _GOOD:
            one["advice"] = "good as it is"
        elif one is worst and rising and one["gain"] > 0:
            one["advice"] = "needs more images most"
        elif one["high"] < last.mean() and one["gain"] <= 0:
            one["advice"] = "look at its labels and confusions: more images did not help it so far"
    return rows
