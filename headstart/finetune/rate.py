"""Learning rate and number of epochs, where the user does not say them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from headstart.finetune.learner import Learner
from headstart.finetune.problem import Problem
from headstart.tuning import Tuning

_STEPS = 600  # that a stage takes at least, about
_FEWEST, _MOST = 12, 20  # epochs
_TIMED = 3  # steps
# On trashnet, 5 blocks, test accuracy of the split of seed 2: 1e-4 0.874, 1e-3 0.906; seed 0: 3e-4
# 0.925, 1e-3 0.935, 3e-3 0.906 to 0.916.
_RATE = 1e-3
_MANY = 1500  # images from which on the learning rate is the usual one; below it is lower
_LOWEST = 0.1  # of the usual one


def usual_rate(images: int) -> float:
    """The learning rate by the number of training images."""
    return _RATE * min(1.0, max(_LOWEST, images / _MANY))


def usual_epochs(images: int, tuning: Tuning) -> int:
    """As many epochs as make about 600 steps, from 12 to 20."""
    if tuning.epochs is not None:
        return tuning.epochs
    return max(_FEWEST, min(_MOST, -(-_STEPS // tuning.steps(images))))


def epochs_in_time(learner: Learner, problem: Problem, tuning: Tuning, until: float) -> float:
    """How many epochs fit, from the time that some steps take; the learner stays as it was."""
    if until == math.inf:
        return math.inf
    images = len(problem.train.labels), len(problem.validation.labels)
    epoch = epoch_seconds(learner, problem, tuning, images)
    return max(0.0, until - time.monotonic()) / epoch


def epoch_seconds(
    learner: Learner, problem: Problem, tuning: Tuning, images: Sequence[int]
) -> float:
    """How long an epoch takes, from the time of some steps; the learner stays as it was.

    Args:
        learner: What learns.
        problem: Enough images for a step, to learn from.
        tuning: How it learns.
        images: How many there are to train on, and to validate on.
    """
    begin = learner.state()
    rows = np.arange(min(tuning.batch_size, len(problem.train.labels)))
    inputs = problem.train.inputs.read(rows, np.zeros_like(rows))
    targets, weights = problem.targets(problem.train.labels[rows]), problem.train.weights[rows]
    learner.step(inputs, targets, weights, 0.0)  # compiles
    start = time.monotonic()
    for _ in range(_TIMED):
        learner.step(inputs, targets, weights, 0.0)
    step = (time.monotonic() - start) / _TIMED
    learner.set_state(begin)
    judged = images[1] / tuning.batch_size / 3  # forward alone is faster
    return step * (tuning.steps(images[0]) + judged)
