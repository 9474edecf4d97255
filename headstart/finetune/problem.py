"""What there is to learn from, and how good a network is on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from headstart.calibration import best_temperature, log_probabilities, smoothed_losses, warmed
from headstart.finetune.inputs import Inputs, batches
from headstart.finetune.learner import BATCH
from headstart.heads.head import Floats
from headstart.metrics import lower_beyond_chance

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


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
        temperature: By which its logits are best divided (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599): training with label smoothing, or longer, changes how
            sure a network is, and networks are compared without that.
        losses: The log loss of each image at that temperature, (n,).
    """

    loss: float
    log_loss: float
    accuracy: float
    temperature: float
    losses: Doubles = field(repr=False, compare=False)

    @property
    def calibrated_loss(self) -> float:
        """Mean log loss at the best temperature."""
        return float(self.losses.mean())

    def beats(self, other: Judgement) -> bool:
        """Whether it is better by more than one standard error of the difference, by image."""
        return lower_beyond_chance(self.losses, other.losses)


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
    logs = log_probabilities(probabilities)
    right = probabilities.argmax(axis=1) == labels
    # As sure as so few images allow (Platt 1999), or the best temperature of a perfect answer is 0.
    doubt = 1 / (len(labels) + 2)
    temperature = best_temperature(logs, labels, doubt)
    return Judgement(
        loss=float(smoothed_losses(logs, labels, smoothing).mean()),
        log_loss=float(smoothed_losses(logs, labels, 0.0).mean()),
        accuracy=float(right.mean()),
        temperature=temperature,
        losses=smoothed_losses(warmed(logs, temperature), labels, doubt),
    )
