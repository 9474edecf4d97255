"""Short trainings before the long one: whether the learning rate is too high, whether views help.

A short training cannot tell which learning rate is best in the end: it favours low ones (Wu et al.
2018, https://arxiv.org/abs/1803.02021). On trashnet after one epoch 1e-4 is far better than 1e-3,
after twelve it is worse. So the usual rate stays, unless it undoes what the network knows. Views
are compared on few images that are seen several times, as in a long training.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from headstart import progress
from headstart.finetune.checkpoint import Checkpoint
from headstart.finetune.inputs import Plain, Some
from headstart.finetune.learner import Learner
from headstart.finetune.loop import Limits, Training
from headstart.finetune.problem import Examples, Judgement, Problem, judge
from headstart.tuning import Tuning

STAGE = "try out"
_LOWER = 1 / 3  # factor on a learning rate that is too high
_LOWERED = 3  # times at most
_PART = 0.05  # of all the steps of a training: what a trial takes
_SEEN = 6  # times that a trial of views sees each image


def without_views(problem: Problem) -> Problem:
    """The same, but the images themselves alone are learned from."""
    return replace(problem, train=replace(problem.train, inputs=Plain(problem.train.inputs)))


def some(problem: Problem, images: int) -> Problem:
    """The same with fewer images to learn from, drawn by the seed."""
    rows = np.random.default_rng([problem.seed, 0]).permutation(len(problem.train.labels))[:images]
    train = problem.train
    fewer = Examples(Some(train.inputs, rows), train.labels[rows], train.weights[rows])
    return replace(problem, train=fewer)


class Trials:
    """Short trainings of one learner from the same start, which it goes back to after each.

    Args:
        learner: What learns; it is left as it was.
        tuning: How it learns.
        epochs: Of the training that the trials are for.
        limits: When to stop.
    """

    def __init__(self, learner: Learner, tuning: Tuning, epochs: int, limits: Limits) -> None:
        self._learner, self._tuning, self._epochs = learner, tuning, epochs
        self._limits = limits

    def steady_rate(self, problem: Problem, rate: float) -> float:
        """The usual learning rate, or less where that undoes most of what the network knows.

        That is a validation loss nearer to chance than to where it began.
        """
        begin = judge(self._learner, problem.validation, self._tuning.label_smoothing)
        most = (begin.calibrated_loss + math.log(problem.num_classes)) / 2
        lower = rate
        for _ in range(_LOWERED):
            judged = self._try(problem, lower, 1)
            if self._limits.reached():  # the trial was cut short and tells nothing
                return rate
            if judged is not None and judged.calibrated_loss <= most:
                break
            lower *= _LOWER
        if lower != rate:
            progress.remark(STAGE, f"learning rate {lower:.2g}: {rate:.2g} undoes what is known")
        return lower

    def views_help(self, problem: Problem, rate: float) -> bool:
        """Whether learning from views is no worse than from the images alone, beyond chance.

        Views with which a trial diverges are no help.
        """
        with_them = self._try(problem, rate, _SEEN)
        if with_them is None and self._limits.reached():  # cut short, which tells nothing
            return True
        without = None if with_them is None else self._try(without_views(problem), rate, _SEEN)
        reason = ""
        if with_them is None:
            reason = "a trial with augmented views diverged"
        elif without is not None and without.beats(with_them):
            reason = "augmented views make it worse on validation"
        if reason:
            progress.remark(STAGE, f"{reason}: none are used")
        return not reason

    def _try(self, problem: Problem, rate: float, seen: int) -> Judgement | None:
        """Judge the learner after a short training; None where it diverged or was ended.

        Args:
            problem: What to learn; as many of its images as the trial has time for.
            rate: The highest learning rate.
            seen: Epochs; the more, the fewer images.
        """
        begin = self._learner.state()
        images = int(_PART * self._epochs * len(problem.train.labels) / seen)
        images = max(self._tuning.batch_size, images)
        training = Training(self._learner, some(problem, images), self._tuning, Checkpoint(None))
        training.told = False
        record = training.run(seen, rate, self._limits, retries=0)
        self._learner.set_state(begin)
        return training.judged if record.stopped in ("epochs", "patience") else None
