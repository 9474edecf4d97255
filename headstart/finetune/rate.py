"""Learning rate and number of epochs, where the user does not say them."""

from __future__ import annotations

import math
import time

import numpy as np

from headstart.finetune.problem import Problem
from headstart.finetune.stage import Start, make_learner
from headstart.tuning import Tuning

_STEPS = 450  # that a stage takes at least, about
_FEWEST, _MOST = 8, 20  # epochs
_MANY = 1_000_000
_TIMED = 3  # steps


def plan_epochs(images: int, tuning: Tuning) -> int:
    """As many epochs as make about 450 steps, from 8 to 20."""
    if tuning.epochs is not None:
        return tuning.epochs
    steps = -(-images // tuning.batch_size)
    return max(_FEWEST, min(_MOST, -(-_STEPS // steps)))


def epochs_in_time(start: Start, problem: Problem, tuning: Tuning, deadline: float) -> int:
    """How many epochs fit, from the time that some steps of a copy take; at least 1 of them."""
    if deadline == math.inf:
        return _MANY
    learner = make_learner(start, tuning, problem.seed)
    rows = np.arange(min(tuning.batch_size, len(problem.train.labels)))
    inputs = problem.train.inputs.read(rows, np.zeros_like(rows))
    targets, weights = problem.targets(problem.train.labels[rows]), problem.train.weights[rows]
    learner.step(inputs, targets, weights, 0.0)  # compiles
    begin = time.monotonic()
    for _ in range(_TIMED):
        learner.step(inputs, targets, weights, 0.0)
    step = (time.monotonic() - begin) / _TIMED
    steps = -(-len(problem.train.labels) // tuning.batch_size)
    judged = len(problem.validation.labels) / tuning.batch_size / 3  # forward alone is faster
    return int(max(0.0, deadline - time.monotonic()) / (step * (steps + judged)))


def choose_rate(start: Start, problem: Problem, tuning: Tuning) -> float:
    """The learning rate."""
    return tuning.learning_rate or 1e-3
