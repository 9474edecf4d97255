"""How sure a classifier says it is, against how often it is right: temperature scaling.

All logits are divided by one number, the temperature, which leaves the order of the classes as it
is (Guo et al. 2017, https://arxiv.org/abs/1706.04599). It is found on images that the network has
not learned from.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from headstart.intervals import error_by_chance
from headstart.metrics import (
    Numbers,
    Probabilities,
    Rows,
    expected_calibration_error,
    log_loss,
    reliability,
)

_COLDEST = 1.5  # largest change of the temperature, as a power of e
_SMALLEST = 1e-30
_SPREAD = 0.5  # of the power of e that is expected before any image is seen
_DIGITS = 3  # as many as matter; what the number of processors changes is rounded away


def log_probabilities(probabilities: Probabilities) -> Numbers:
    """Their logarithms, finite."""
    logs: Numbers = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    return logs


def warmed(logs: Numbers, temperature: float) -> Numbers:
    """Logarithms of probabilities (n, classes) after the division of the logits."""
    result: Numbers = log_softmax(logs / temperature, axis=1)
    return result


def smoothed_losses(logs: Numbers, labels: Rows, smoothing: float) -> Numbers:
    """The loss of each image with smoothed labels, (n,)."""
    own = logs[np.arange(len(labels)), labels]
    losses: Numbers = -(1 - smoothing) * own - smoothing * logs.mean(axis=1)
    return losses


def best_temperature(
    logs: Numbers, labels: Rows, smoothing: float, spread: float = math.inf
) -> float:
    """The temperature at which the loss is lowest.

    Args:
        logs: (n, classes), logarithms of probabilities.
        labels: (n,), the true classes.
        smoothing: Of the labels, or the best temperature of perfect answers would be 0.
        spread: Before any image is seen, the logarithm of the temperature is expected to be 0 with
            this standard deviation; of few images little is then made.
    """

    def loss(power: float) -> float:
        losses = smoothed_losses(warmed(logs, math.exp(power)), labels, smoothing)
        return float(losses.mean()) + (power / spread) ** 2 / (2 * len(labels))

    found = minimize_scalar(loss, bounds=(-_COLDEST, _COLDEST), method="bounded")
    return math.exp(found.x)


def fit_temperature(probabilities: Probabilities, labels: Rows) -> float:
    """The temperature for answers (n, classes) to images that were not learned from; 1 for none.

    It is drawn towards 1 where the images are few, and rounded to three digits.
    """
    if not len(labels):
        return 1.0
    # As sure as so few images allow (Platt 1999).
    smoothing = 1 / (len(labels) + 2)
    logs = log_probabilities(probabilities)
    return round(best_temperature(logs, labels, smoothing, _SPREAD), _DIGITS)


def calibration_figures(probabilities: Probabilities, labels: Rows) -> dict[str, Any]:
    """Calibration error, log loss and the bins of a reliability diagram, as JSON values.

    `by_chance` is the calibration error that perfectly calibrated answers would show.
    """
    return {
        "calibration_error": expected_calibration_error(probabilities, labels),
        "by_chance": error_by_chance(probabilities),
        "log_loss": log_loss(probabilities, labels),
        "bins": reliability(probabilities, labels),
    }
