"""Short trainings to choose by: the learning rate, and whether augmented views help.

Each is compared with the default on validation, and the default stays unless another beats it by
more than chance. The learner goes back to where it was after each.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from headstart import progress
from headstart.finetune.checkpoint import Checkpoint
from headstart.finetune.inputs import Plain, Some
from headstart.finetune.learner import Learner
from headstart.finetune.loop import Limits, Training
from headstart.finetune.problem import Examples, Judgement, Problem
from headstart.tuning import Tuning

STAGE = "try out"
FACTORS = (1 / 3, 3.0)  # on the default learning rate
_PART = 0.05  # of all the steps of a training: what a trial takes


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
    """Short trainings of one learner from the same start, each one epoch on some of the images.

    Args:
        learner: What learns; it is left as it was.
        tuning: How it learns.
        epochs: Of the training that the trials are for.
        limits: When to stop.
    """

    def __init__(self, learner: Learner, tuning: Tuning, epochs: int, limits: Limits) -> None:
        self._learner, self._tuning, self._epochs = learner, tuning, epochs
        self._limits = limits

    def better_rate(self, problem: Problem, rate: float) -> float:
        """The default, or one of its neighbours where that is better beyond chance."""
        found = {one: self._try(problem, one) for one in (rate, *(rate * by for by in FACTORS))}
        best = rate
        for one, judged in found.items():
            usual, so_far = found[rate], found[best]
            if judged is None or not (usual is None or judged.beats(usual)):
                continue
            if so_far is None or judged.calibrated_loss < so_far.calibrated_loss:
                best = one
        if best != rate:
            progress.remark(STAGE, f"learning rate {best:.2g}, better than {rate:.2g}")
        return best

    def views_help(self, problem: Problem, rate: float) -> bool:
        """Whether learning from views is no worse than from the images alone, beyond chance."""
        with_them, without = self._try(problem, rate), self._try(without_views(problem), rate)
        helps = with_them is None or without is None or not without.beats(with_them)
        if not helps:
            progress.remark(STAGE, "augmented views make it worse on validation: none are used")
        return helps

    def _try(self, problem: Problem, rate: float) -> Judgement | None:
        """Judge the learner after a short training; None where that diverged."""
        begin = self._learner.state()
        images = max(self._tuning.batch_size, int(_PART * self._epochs * len(problem.train.labels)))
        training = Training(self._learner, some(problem, images), self._tuning, Checkpoint(None))
        record = training.run(1, rate, self._limits, retries=0)
        self._learner.set_state(begin)
        return None if record.stopped == "diverged" else training.judged
