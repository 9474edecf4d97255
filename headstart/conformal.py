"""Sets of classes that hold the true one as often as is asked for, class by class.

From answers to images that were not learned from comes, for each class, the probability from which
it belongs to the set: of new images of that class at least the level (90%, say) then have it in
their set, whatever the classifier is worth (Vovk 2012, "Conditional validity of inductive conformal
predictors", https://arxiv.org/abs/1209.2673; Sadinle et al. 2019, https://arxiv.org/abs/1609.00451).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.metrics import Numbers, Probabilities, Rows, wilson_interval

LEVELS = (0.8, 0.9, 0.95, 0.99)
LEVEL = 0.9  # where none is asked for
Sets = npt.NDArray[np.bool_]  # (n, classes)


def fewest_images(level: float) -> int:
    """How many images a threshold takes, at least: 9 for 90%."""
    return math.ceil(level / (1 - level) - 1e-9)


def set_threshold(own: Numbers, level: float) -> float | None:
    """The probability from which a class belongs to the set.

    Args:
        own: (n,) what was given to the true class of images of one class, or of any.
        level: Share of new images that are to have their class in their set, 0 to 1.

    Returns:
        The probability, None where there are fewer images than the level takes.
    """
    place = math.floor((len(own) + 1) * (1 - level) + 1e-9)
    if place < 1:
        return None
    return float(np.sort(own)[place - 1])


def class_thresholds(own: Numbers, labels: Rows, num_classes: int, level: float) -> Thresholds:
    """`set_threshold` of each class; of one with too few images that of all classes together.

    Args:
        own: (n,) what was given to the true class of each image.
        labels: (n,) the true classes.
        num_classes: How many classes there are.
        level: 0 to 1.
    """
    together = set_threshold(own, level)
    each = (set_threshold(own[labels == label], level) for label in range(num_classes))
    return tuple(together if one is None else one for one in each)


Thresholds = tuple[float | None, ...]


def form_sets(probabilities: Probabilities, thresholds: Thresholds) -> Sets:
    """The set of each image, bool (n, classes); a class without a threshold is in all of them."""
    least = np.array([-1.0 if one is None else one for one in thresholds])
    sets: Sets = probabilities >= least
    return sets


def set_figures(
    sets: Sets, labels: Rows, class_names: Sequence[str], level: float
) -> dict[str, Any]:
    """How many images have their class in their set, and how large the sets are, as JSON values.

    Each share has its 95% interval (Wilson); one that does not hold the level says that the images
    are of another kind than those that the sets were made with.
    """
    hit = sets[np.arange(len(labels)), labels]
    sizes, counts = np.unique(sets.sum(axis=1), return_counts=True)
    classes = [
        {"name": name, **_share(hit[labels == label])} for label, name in enumerate(class_names)
    ]
    return {
        "level": level,
        "classes": classes,
        **{name: value for name, value in _share(hit).items() if name != "images"},
        "mean_size": float(sets.sum(axis=1).mean()) if len(labels) else None,
        "sizes": {str(size): int(count) for size, count in zip(sizes, counts, strict=True)},
    }


def _share(hit: npt.NDArray[np.bool_]) -> dict[str, Any]:
    right, total = int(hit.sum()), len(hit)
    low, high = wilson_interval(right, total) if total else (None, None)
    covered = right / total if total else None
    return {"images": total, "covered": covered, "low": low, "high": high}


def abstaining_figures(probabilities: Probabilities, labels: Rows) -> list[dict[str, Any]]:
    """What is answered, and how often rightly, where only answers from a threshold on count.

    A row for each of some thresholds, rising, as JSON values; `low` and `high` are the 95% interval
    of the accuracy (Wilson), None where nothing is answered.
    """
    if not len(labels):
        return []
    stated, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    rows = []
    for threshold in (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99):
        given = _share(right[stated >= threshold])
        answered = given.pop("images") / len(labels)
        accuracy = given.pop("covered")
        rows.append({"threshold": threshold, "answered": answered, "accuracy": accuracy, **given})
    return rows


def abstain_below(probabilities: Probabilities, labels: Rows) -> float | None:
    """The lowest stated probability from which answers are wrong half as often as all are.

    None where there are fewer than 20 images, or no wrong answer.
    """
    stated, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    if len(labels) < _FEWEST_TO_ABSTAIN or right.all():
        return None
    order = np.argsort(-stated, kind="stable")
    wrong = np.cumsum(~right[order]) / np.arange(1, len(labels) + 1)
    good = np.flatnonzero(wrong <= wrong[-1] / 2)
    return float(stated[order[good[-1]]]) if len(good) else None


_FEWEST_TO_ABSTAIN = 20
