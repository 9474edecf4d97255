"""Epoch after epoch: schedule, early stopping, the best epoch, and where to go on after a kill."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from headstart import progress
from headstart.finetune.checkpoint import Checkpoint
from headstart.finetune.inputs import batches, mix
from headstart.finetune.learner import Arrays, Learner
from headstart.finetune.problem import Judgement, Problem, Rows, judge
from headstart.heads.head import Floats
from headstart.tuning import Tuning

STAGE = "fine-tune"
_RETRIES = 3
_LOWER = 0.25  # factor on a learning rate that was too high
_TOO_HIGH = 2.0  # times the loss before training, or that of chance: the learning rate is too high
_LOOKED = 8  # batches by which the training loss before training is told
MIDWAY = ("interrupted", "time limit")  # reasons to stop in the middle of an epoch


class Diverged(Exception):
    """The loss is not finite, or far above where it began."""


@dataclass(frozen=True)
class Limits:
    """When to stop besides the last epoch: at a time, or where somebody asks for it.

    `until` is the time that is planned for, which a training may pass once it has begun.
    """

    deadline: float = math.inf
    asked: Callable[[], bool] = lambda: False
    until: float = math.inf

    def reached(self) -> str:
        """Why to stop now, one of `MIDWAY`; "" where there is no reason to."""
        if self.asked():
            return "interrupted"
        return "time limit" if time.monotonic() >= self.deadline else ""


@dataclass
class Record:
    """Where a training stands; JSON values.

    Attributes:
        epochs: How many are planned.
        learning_rate: The highest one, lowered where it was too high.
        retries: How often that was.
        history: `train_loss`, `validation_loss` (at the best temperature: a network that becomes
            too sure is not worse for that), `validation_accuracy` and `seconds` of each epoch.
        best_epoch: From 1; 0 is the start.
        stopped: Why it ended: `epochs`, `patience`, `behind` (another depth was better half way),
            `time limit`, `interrupted`, `diverged`; "" while it runs.
    """

    epochs: int
    learning_rate: float
    retries: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = ""

    @property
    def losses(self) -> list[float]:
        """The validation losses; none where nothing is validated."""
        return [one["validation_loss"] for one in self.history if "validation_loss" in one]

    def is_better(self) -> bool:
        """Whether the last epoch is the best so far; the last one where nothing is validated."""
        losses = self.losses
        return not losses or losses[-1] < min(losses[:-1], default=math.inf)

    def is_behind(self, rival: Record | None) -> bool:
        """Whether half of the epochs have not come as far as those of another training."""
        done = len(self.history)
        if rival is None or rival.epochs != self.epochs or done != self.epochs // 2:
            return False
        return min(self.losses, default=0.0) > min(rival.losses[:done], default=math.inf)


class Training:
    """One stage of fine-tuning; `run` trains, from where a checkpoint stands if there is one.

    Attributes:
        rival: The training of another depth, which this one should be ahead of half way.
        told: Whether it says when it is given up; a trial says itself what it found.
    """

    def __init__(
        self, learner: Learner, problem: Problem, tuning: Tuning, checkpoint: Checkpoint
    ) -> None:
        self.learner, self.problem, self.tuning = learner, problem, tuning
        self.checkpoint = checkpoint
        self.validated = len(problem.validation.labels) > 0
        self.start = learner.weights()
        self.best: Arrays = self.start
        self.before = self._judged() if self.validated else None
        self.judged = self.before  # as the last epoch left it
        self.rival: Record | None = None
        self.told = True
        self.steps = tuning.steps(len(problem.train.labels))  # of an epoch

    def run(
        self, epochs: int, learning_rate: float, limits: Limits, *, retries: int | None = None
    ) -> Record:
        """Train, and leave the learner at its last weights and `best` at the best ones.

        Args:
            epochs: How many.
            learning_rate: The highest one.
            limits: When to stop earlier.
            retries: How often a learning rate that is too high is lowered; 3 where left out.
        """
        begin = self.learner.state()
        at_start = functools.cache(lambda: self._loss_at_start(begin))
        used = 0 if retries is None else _RETRIES - retries
        record = self._resumed() or Record(epochs, learning_rate, used)
        with progress.stage(STAGE, record.epochs * self.steps) as stage:
            stage.advance(len(record.history) * self.steps)
            while not record.stopped:
                try:
                    self._epoch(record, limits, stage)
                    if record.stopped in MIDWAY:
                        break  # what is on the disk stays the end of the epoch before
                    self._check(record, at_start)
                except Diverged as reason:
                    record = self._lower(record, begin, str(reason))
                self.checkpoint.write(asdict(record), self.learner.state(), self.best)
        return record

    def _resumed(self) -> Record | None:
        saved = self.checkpoint.read()
        if saved is None:
            return None
        try:
            record = Record(**saved.record)
            if _shapes(saved.best) != _shapes(self.start):
                raise ValueError("the weights of another network")
            self.learner.set_state(saved.state)
        except (TypeError, ValueError):
            return None
        self.best = saved.best
        if record.history:
            progress.remark(STAGE, f"going on after epoch {len(record.history)}")
        return record

    def _judged(self) -> Judgement:
        return judge(self.learner, self.problem.validation, self.tuning.label_smoothing)

    def _epoch(self, record: Record, limits: Limits, stage: progress.Stage) -> None:
        number = len(record.history) + 1
        total, begin = 0.0, time.monotonic()
        step = (number - 1) * self.steps
        with closing(self._batches(number)) as given:
            for rows, inputs, targets in given:
                part = rate_at(step, record.epochs * self.steps, self.tuning)
                loss = self._step(rows, inputs, targets, part * record.learning_rate)
                if not math.isfinite(loss):
                    raise Diverged("the loss is not a number")
                total, step = total + loss * len(rows), step + 1
                stage.advance()
                record.stopped = limits.reached()
                if record.stopped:
                    return
        weights = self._finite_weights()
        figures = {"train_loss": total / len(self.problem.train.labels)}
        if self.validated:
            self.judged = self._judged()
            figures |= _figures(self.judged)
        figures["seconds"] = time.monotonic() - begin
        self._note(record, figures, weights)

    def _batches(self, number: int) -> Generator[tuple[Rows, Any, Floats]]:
        """The batches of an epoch (from 1): rows, what enters of them, and the answers wanted."""
        problem, tuning = self.problem, self.tuning
        generator = np.random.default_rng([problem.seed, number])
        count = len(problem.train.labels)
        order = generator.permutation(count)
        views = problem.train.inputs.draw(count, number, generator)
        given = batches(problem.train.inputs, order, views, tuning.batch_size)
        with closing(given) as found:
            for part, inputs in found:
                rows = order[part]
                pair = inputs, problem.targets(problem.train.labels[rows])
                if tuning.mixup:
                    pair = mix(*pair, tuning.mixup, generator)
                yield rows, *pair

    def _step(self, rows: Rows, inputs: Any, targets: Floats, rate: float) -> float:
        weights = self.problem.train.weights[rows]
        return self.learner.step(inputs, targets, weights, rate)

    def _finite_weights(self) -> Arrays:
        weights = self.learner.weights()
        if not all(np.isfinite(one).all() for one in weights.values()):
            raise Diverged("the weights are not numbers")
        return weights

    def _note(self, record: Record, figures: dict[str, float], weights: Arrays) -> None:
        if not math.isfinite(figures.get("validation_loss", 0.0)):
            raise Diverged("the validation loss is not a number")
        record.history.append(figures)
        number = len(record.history)
        progress.tell_figures(STAGE, {"epoch": number, **figures})
        if record.is_better():
            record.best_epoch, self.best = number, weights
        if number >= record.epochs:
            record.stopped = "epochs"
        elif self.validated and number - record.best_epoch >= self.tuning.patience:
            record.stopped = "patience"
        elif record.is_behind(self.rival):
            record.stopped = "behind"

    def _check(self, record: Record, at_start: Callable[[], float]) -> None:
        """See whether the training loss has risen far above where it began.

        Validation is without views and dropout, so a sure head may have a far lower loss there: the
        training loss of the start is looked at before anything is called too high.
        """
        loss, chance = record.history[-1]["train_loss"], math.log(self.problem.num_classes)
        start = chance if self.before is None else max(chance, self.before.loss)
        if loss > _TOO_HIGH * start and loss > _TOO_HIGH * at_start():
            raise Diverged(f"the loss rose from {at_start():.2f} to {loss:.2f}")

    def _loss_at_start(self, begin: list[Any]) -> float:
        """The training loss of a state, over some batches of the first epoch, dropout included."""
        now = self.learner.state()
        self.learner.set_state(begin)
        total, seen = 0.0, 0
        with closing(self._batches(1)) as given:
            for rows, inputs, targets in itertools.islice(given, _LOOKED):
                total += self._step(rows, inputs, targets, 0.0) * len(rows)
                seen += len(rows)
        self.learner.set_state(now)
        return total / seen

    def _lower(self, record: Record, begin: list[Any], reason: str) -> Record:
        """Begin anew with a lower learning rate, or give up at the start."""
        self.learner.set_state(begin)
        self.best = self.start
        rate = record.learning_rate * _LOWER
        high = f"{reason} with the learning rate {record.learning_rate:.2g}"
        if record.retries == _RETRIES:
            if self.told:
                progress.remark(STAGE, f"{high}: it is still too high; this training is given up")
            return replace(record, history=[], best_epoch=0, stopped="diverged")
        progress.remark(STAGE, f"{high}: it was too high; beginning anew with {rate:.2g}")
        return Record(record.epochs, rate, record.retries + 1)


def rate_at(step: int, steps: int, tuning: Tuning) -> float:
    """The learning rate of a step (from 0) as a part of the highest: warm-up, then the schedule."""
    warm = tuning.warmup * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    if tuning.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def _figures(one: Judgement) -> dict[str, float]:
    return {"validation_loss": one.calibrated_loss, "validation_accuracy": one.accuracy}


def _shapes(weights: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: one.shape for name, one in weights.items()}
