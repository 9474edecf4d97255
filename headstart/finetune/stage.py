"""One fine-tuning from start to end: train, prove, interpolate, keep the best on validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.depth import takes_images
from headstart.finetune.checkpoint import Checkpoint
from headstart.finetune.learner import HEAD, Arrays, Learner
from headstart.finetune.loop import Limits, Record, Training
from headstart.finetune.problem import Judgement, Problem, judge
from headstart.finetune.proof import prove
from headstart.heads import Head
from headstart.suffix import Suffix
from headstart.tuning import Tuning

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the way from the start to the end


@dataclass(frozen=True, eq=False)
class Stage:
    """What a stage gives.

    Attributes:
        suffix: The trained part as it is best on validation.
        head: The head that belongs to it.
        share: How far it lies from the start (0) to the best epoch (1).
        before: Judged on validation before training, None where there is no validation part.
        after: Judged with what is kept.
        record: Epochs, learning rate, history.
        moved: Names of the layers that learned.
        frozen: Names of those that have weights and did not.
        augmented: Whether views were learned from.
    """

    suffix: Suffix
    head: Head
    share: float
    before: Judgement | None
    after: Judgement | None
    record: Record
    moved: tuple[str, ...]
    frozen: tuple[str, ...]
    augmented: bool = True

    def details(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "cut": self.suffix.layer,
            "epochs": len(self.record.history),
            "planned_epochs": self.record.epochs,
            "best_epoch": self.record.best_epoch,
            "stopped": self.record.stopped,
            "learning_rate": self.record.learning_rate,
            "retries": self.record.retries,
            "share": self.share,
            "before": _figures(self.before),
            "after": _figures(self.after),
            "history": self.record.history,
            "moved": list(self.moved),
            "frozen": list(self.frozen),
        }


@dataclass(frozen=True)
class Plan:
    """How long a stage trains, how fast, and until when; `rival` is what it should be ahead of."""

    epochs: int
    learning_rate: float
    limits: Limits
    rival: Record | None = None


def run_stage(
    learner: Learner, problem: Problem, tuning: Tuning, plan: Plan, checkpoint: Checkpoint
) -> Stage:
    """Fine-tune behind a cut.

    Raises:
        HeadstartError: A layer that was frozen has changed, or one that was to learn has not.
    """
    training = Training(learner, problem, tuning, checkpoint)
    training.rival = plan.rival
    record = training.run(plan.epochs, plan.learning_rate, plan.limits)
    names = [
        *learner.learns,
        *(name.rpartition("/")[0] for name in training.start if _is_head(name)),
    ]
    if record.history:
        proof = prove(training.start, learner.weights(), names, learner.fixed)
        moved, frozen = proof.moved, proof.frozen
    else:
        moved, frozen = (), tuple(dict.fromkeys((*learner.learns, *learner.stays)))
    share, after = _choose(learner, training, record.best_epoch > 0)
    return Stage(
        suffix=_suffix(learner),
        head=learner.head(),
        share=share,
        before=training.before,
        after=after,
        record=record,
        moved=tuple(name for name in moved if not _is_head(name)),
        frozen=frozen,
    )


def _is_head(name: str) -> bool:
    return name.startswith(HEAD)


def _choose(learner: Learner, training: Training, learned: bool) -> tuple[float, Judgement | None]:
    """Leave the learner at the best place between start and best epoch; how far that is.

    Without a validation part that is the last epoch; where no epoch counts it is the start.
    """
    if training.before is None or not learned:
        share = 1.0 if learned else 0.0
        learner.set_weights(between(training.start, training.best, share))
        return share, training.before
    found = [(0.0, training.before)]
    tuning = training.tuning
    for share in SHARES if tuning.interpolate else SHARES[-1:]:
        learner.set_weights(between(training.start, training.best, share))
        judged = judge(learner, training.problem.validation, tuning.label_smoothing)
        found.append((share, judged))
    share, judged = _best(found)
    learner.set_weights(between(training.start, training.best, share))
    if share:
        learner.divide_logits(judged.temperature)
    return share, judged


def _best(found: list[tuple[float, Judgement]]) -> tuple[float, Judgement]:
    """The start, unless a place on the way is at least as accurate and has a lower loss."""
    (_, start), *others = found
    good = [one for one in others if one[1].accuracy >= start.accuracy]
    return min([found[0], *good], key=lambda one: one[1].calibrated_loss)


def between(start: Arrays, end: Arrays, share: float) -> Arrays:
    """Weights on the way from `start` (0) to `end` (1), float32; exact at both ends."""
    if share in (0.0, 1.0):
        return end if share else start
    part = np.float32(share)
    return {name: value + part * (end[name] - value) for name, value in start.items()}


def _suffix(learner: Learner) -> Suffix:
    cut = learner.cut
    weights = {name: one for name, one in learner.weights().items() if not _is_head(name)}
    shape = tuple(int(side or 0) for side in cut.point.shape)
    width = int(cut.suffix.output_shape[-1])
    return Suffix(cut.point.layer, shape, width, weights, takes_images(cut), cut=cut)


def _figures(one: Judgement | None) -> dict[str, float] | None:
    if one is None:
        return None
    return {
        "loss": one.loss,
        "log_loss": one.log_loss,
        "accuracy": one.accuracy,
        "calibrated_loss": one.calibrated_loss,
        "temperature": one.temperature,
    }
