"""Probably wrong labels: probabilities that no image's own head has given in, a ranking out.

Confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in
Dataset Labels", JAIR 2021, arXiv:1911.00068). An image is confidently of a class where that class
gets at least the probability which the images labelled so get on average; where its own class is
another one, its label is in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart.metrics import Probabilities, Rows


@dataclass(frozen=True, eq=False)
class Doubts:
    """What the probabilities say of the labels.

    Attributes:
        flagged: Rows whose label is in doubt, the most doubtful first.
        ranking: All rows, the most doubtful first.
        margin: (n,) probability of the own class less that of the most probable other one, -1 to 1.
        suggested: (n,) the most probable other class.
    """

    flagged: Rows
    ranking: Rows
    margin: npt.NDArray[np.float64]
    suggested: Rows


def doubts(probabilities: Probabilities, labels: Rows) -> Doubts:
    """Judge labels.

    Args:
        probabilities: (n, classes), each row from a head that was not fitted on it.
        labels: (n,) the given classes.
    """
    rows = np.arange(len(labels))
    values = probabilities.astype(np.float64)
    own = values[rows, labels]
    others = values.copy()
    others[rows, labels] = -1
    suggested = others.argmax(axis=1)
    margin = own - others[rows, suggested]
    ranking = np.lexsort((rows, margin))
    confident = confident_classes(values, labels)
    # The label stands where it is the answer after all: thresholds differ between classes.
    flagged = (confident >= 0) & (confident != labels) & (margin < 0)
    return Doubts(ranking[flagged[ranking]], ranking, margin, suggested.astype(np.int64))


def confident_classes(probabilities: Probabilities, labels: Rows) -> Rows:
    """The class that each row is confidently of, (n,); -1 where there is none.

    Of several the most probable one.
    """
    count = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    images = np.bincount(labels, minlength=count)
    total = np.bincount(labels, weights=own, minlength=count)
    # No image is confidently of a class that has none.
    threshold = np.divide(total, images, out=np.full(count, np.inf), where=images > 0)
    above = np.where(probabilities >= threshold - 1e-6, probabilities, -1.0)
    best = above.argmax(axis=1)
    return np.where(above.max(axis=1) >= 0, best, -1).astype(np.int64)
