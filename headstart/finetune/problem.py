"""What there is to learn from, and how good a network is on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from headstart.finetune.inputs import Inputs, batches
from headstart.finetune.learner import BATCH
from headstart.heads.head import Floats

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with labels (n,) and their weights in the loss (n,)."""

    inputs: Inputs
    labels: Rows
    weights: Floats


@dataclass(frozen=True, eq=False)
class Problem:
    """A training and a validation part; the second may be empty."""

    train: Examples
    validation: Examples
    num_classes: int
    seed: int

    def targets(self, labels: Rows) -> Floats:
        """The probabilities wanted, float32 (n, classes)."""
        return np.eye(self.num_classes, dtype=np.float32)[labels]


@dataclass(frozen=True)
class Judgement:
    """How good a network is on a part.

    Attributes:
        loss: What is trained for, label smoothing included.
        log_loss: Mean of -log of the probability of the right class.
        accuracy: 0 to 1.
        losses: The loss of each image, (n,).
    """

    loss: float
    log_loss: float
    accuracy: float
    losses: npt.NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def rank(self) -> tuple[float, float]:
        """What is better has the larger one: more accurate, or as accurate with less loss."""
        return round(self.accuracy, 9), -self.loss


class Answering(Protocol):
    """What gives class probabilities (m, classes) of what enters it (m, ...)."""

    def probabilities(self, inputs: Floats) -> Floats:
        """Class probabilities of at most `BATCH` images."""
        ...


def judge(network: Answering, part: Examples, smoothing: float) -> Judgement:
    """Judge a network on the images themselves, not on views of them."""
    rows = np.arange(len(part.labels))
    blocks = [
        network.probabilities(inputs)
        for _, inputs in batches(part.inputs, rows, np.zeros_like(rows), BATCH)
    ]
    return judgement(np.concatenate(blocks), part.labels, smoothing)


def judgement(probabilities: Floats, labels: Rows, smoothing: float) -> Judgement:
    """Judge probabilities (n, classes) by the right labels (n,)."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    own = logs[np.arange(len(labels)), labels]
    smoothed = (1 - smoothing) * own + smoothing * logs.mean(axis=1)
    right = probabilities.argmax(axis=1) == labels
    return Judgement(float(-smoothed.mean()), float(-own.mean()), float(right.mean()), -smoothed)
