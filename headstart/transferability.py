"""How well frozen features suit a task, without training: scores to compare backbones by.

Both are for labels and features of the same images; higher is better. They compare networks on one
task, and say nothing of the accuracy to expect.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

Doubles = npt.NDArray[np.float64]
_ROUNDS = 100  # the fixed point is found in some ten
_NEAR = 1e-9  # relative change at which it counts as found
_TINY = 1e-12


def h_score(features: npt.NDArray[Any], labels: npt.NDArray[np.integer[Any]]) -> float:
    """How much of the spread of the features lies between the classes.

    The H-score of Bao et al. 2019 (https://doi.org/10.1109/ICIP.2019.8803726) with the shrunk
    covariance of Ledoit and Wolf, as Ibrahim et al. 2021 (https://arxiv.org/abs/2110.06893) have
    it: with more features than images the covariance could not be inverted without.

    Args:
        features: (n, features), any numbers.
        labels: (n,), at least two classes.

    Returns:
        From 0, where the class means are the same, to the number of classes minus one.
    """
    from sklearn.covariance import ledoit_wolf

    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    covariance, shrinkage = ledoit_wolf(centred, assume_centered=True)
    classes, counts = np.unique(labels, return_counts=True)
    means = np.stack([centred[labels == one].mean(axis=0) for one in classes])
    weighted = means * np.sqrt(counts / len(labels))[:, None]
    factor = cho_factor(covariance + _TINY * np.eye(len(covariance)), lower=True)
    return float((1 - shrinkage) * np.sum(weighted * cho_solve(factor, weighted.T).T))


def log_me(features: npt.NDArray[Any], labels: npt.NDArray[np.integer[Any]]) -> float:
    """The logarithm of the maximum evidence of a linear model, by image and class.

    LogME of You et al. 2021 (https://arxiv.org/abs/2102.11005), with the fixed-point iteration of
    its longer version (https://arxiv.org/abs/2110.10545): for each class against the others, the
    marginal likelihood of a Bayesian linear regression at the precisions of weights and noise that
    make it largest.

    Args:
        features: (n, features), any numbers.
        labels: (n,), at least two classes.

    Returns:
        The mean over the classes.
    """
    values = features.astype(np.float64)
    left, singular, _ = np.linalg.svd(values, full_matrices=False)
    squares = singular**2
    found = []
    for one in np.unique(labels):
        target = (labels == one).astype(np.float64)
        parts = (left.T @ target) ** 2
        outside = max(0.0, float(target @ target - parts.sum()))
        found.append(_evidence(squares, parts, outside, values.shape))
    return float(np.mean(found))


def _evidence(squares: Doubles, parts: Doubles, outside: float, shape: tuple[int, ...]) -> float:
    """The largest log evidence, by image.

    Args:
        squares: Squared singular values of the features.
        parts: Squared lengths of the target along the left singular vectors.
        outside: What of its squared length they leave.
        shape: Of the features.
    """
    images, width = shape

    def sums(ratio: float) -> tuple[float, float]:
        """Squared length of the weights and of the error, where the ratio is that."""
        length = float(np.sum(squares * parts / (squares + ratio) ** 2))
        return length, float(np.sum(parts / (1 + squares / ratio) ** 2)) + outside

    ratio = 1.0  # precision of the weights by that of the noise
    weights = noise = 1.0
    for _ in range(_ROUNDS):
        known = float(np.sum(squares / (squares + ratio)))  # effective number of parameters
        length, error = sums(ratio)
        weights = max(known / (length + _TINY), _TINY)
        noise = (images - known) / (error + _TINY)
        before, ratio = ratio, weights / noise
        if abs(ratio - before) <= _NEAR * before:
            break
    length, error = sums(ratio)
    determinant = np.sum(np.log(weights + noise * squares))
    determinant += (width - len(squares)) * np.log(weights)
    total = width * np.log(weights) + images * np.log(noise) - determinant
    total -= noise * error + weights * length + images * np.log(2 * np.pi)
    return float(total / 2 / images)
