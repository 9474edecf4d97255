"""Measures of a classifier, pure numpy: probabilities and labels in, numbers out.

Throughout, `labels` is int64 (n,), `predicted` likewise, `probabilities` float (n, classes) with
rows that add up to 1, and `matrix` the confusion matrix, int64 (classes, classes): row = true
class, column = answer. Where there is nothing to measure the result is None or 0, as each one says.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Rows: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[np.float64]
Probabilities: TypeAlias = npt.NDArray[np.floating[Any]]

Z95 = 1.959963984540054  # the normal distribution holds 95% between -z and z
_SMALLEST = 1e-15  # a probability of 0 counts as this in the log loss
BINS = 15  # of the calibration error


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95% interval of a rate, from 0 to 1 (E. B. Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Args:
        right: Successes, 0 to `total`.
        total: Trials, 1 or more.
    """
    rate, spread = right / total, Z95**2 / total
    centre = (rate + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(rate * (1 - rate) / total + spread / (4 * total)) / (1 + spread)
    low = 0.0 if right == 0 else max(0.0, centre - half)
    high = 1.0 if right == total else min(1.0, centre + half)
    return low, high


def confusion_matrix(labels: Rows, predicted: Rows, num_classes: int) -> Rows:
    """How often each true class got each answer, int64 (classes, classes)."""
    flat = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    # No copy: with 10,000 classes nearly all of it is memory that is never touched.
    return flat.reshape(num_classes, num_classes).astype(np.int64, copy=False)


def recalls(matrix: Rows) -> Numbers:
    """Share of each class's images that were found, (classes,); 0 for a class without images."""
    return _share(np.diag(matrix), matrix.sum(axis=1))


def precisions(matrix: Rows) -> Numbers:
    """Share of each answer that was right, (classes,); 0 for an answer that was never given."""
    return _share(np.diag(matrix), matrix.sum(axis=0))


def f1_scores(matrix: Rows) -> Numbers:
    """Harmonic mean of precision and recall, (classes,); 0 where nothing was right."""
    return _share(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def balanced_accuracy(matrix: Rows) -> float | None:
    """Mean recall over the classes that have images; None where none has."""
    present = matrix.sum(axis=1) > 0
    return float(recalls(matrix)[present].mean()) if present.any() else None


def log_loss(probabilities: Probabilities, labels: Rows) -> float | None:
    """Mean of -log(probability of the true class), in nats; None without images."""
    if not len(labels):
        return None
    return float(log_losses(probabilities, labels).mean())


def log_losses(probabilities: Probabilities, labels: Rows) -> Numbers:
    """-log(probability of the true class) of each image, in nats, (n,)."""
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses: Numbers = -np.log(np.maximum(own, _SMALLEST))
    return losses


def surest_wrong(probabilities: Probabilities, labels: Rows) -> Rows:
    """The rows of wrong answers, those given with the highest probability first."""
    stated, answers = probabilities.max(axis=1, initial=0.0), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    return wrong[np.argsort(-stated[wrong], kind="stable")].astype(np.int64, copy=False)


def lower_beyond_chance(losses: Numbers, others: npt.NDArray[np.floating[Any]]) -> bool:
    """Whether losses are lower than others of the same images, (n,) each.

    By more than one standard error of the mean difference.
    """
    gain = others - losses
    return bool(gain.mean() > gain.std() / len(gain) ** 0.5)


def expected_calibration_error(
    probabilities: Probabilities, labels: Rows, bins: int = BINS
) -> float | None:
    """How far the stated probability of the answer is from how often it is right, 0 to 1.

    The mean of |accuracy - mean probability| over bins of equal width, weighted by their images
    (Guo et al. 2017, https://arxiv.org/abs/1706.04599). None without images.
    """
    if not len(labels):
        return None
    stated = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    gaps = np.bincount(bin_of(stated, bins), weights=right - stated, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def bin_of(stated: Numbers, bins: int = BINS) -> Rows:
    """The bin of each stated probability, (n,) from 0; bins are open to the left: (0, 1/15] ..."""
    place: Rows = np.clip(np.ceil(stated * bins).astype(np.int64) - 1, 0, bins - 1)
    return place


def reliability(
    probabilities: Probabilities, labels: Rows, bins: int = BINS
) -> list[dict[str, float | int | None]]:
    """What is stated against what is right, bin by bin, as JSON values.

    Each has its bounds `low` and `high`, how many `images` are in it, the mean probability
    `stated` of their answers and the share that is `right`, both None for an empty bin.
    """
    stated = probabilities.max(axis=1).astype(np.float64) if len(labels) else np.zeros(0)
    right = probabilities.argmax(axis=1) == labels if len(labels) else np.zeros(0)
    place = bin_of(stated, bins)
    images = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=one, minlength=bins) for one in (stated, right)]
    return [
        {
            "low": at / bins,
            "high": (at + 1) / bins,
            "images": int(count),
            "stated": float(sums[0][at] / count) if count else None,
            "right": float(sums[1][at] / count) if count else None,
        }
        for at, count in enumerate(images)
    ]


def _share(part: Rows, whole: Rows) -> Numbers:
    result: Numbers = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return result
