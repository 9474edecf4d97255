"""Small problems of fine-tuning with the backbone `tiny`, in memory, for the tests of the loop."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.backbones import load_backbone
from headstart.cut import Cut
from headstart.depth import cut_for, find_depth
from headstart.finetune.checkpoint import Checkpoint
from headstart.finetune.inputs import Rows
from headstart.finetune.learner import Learner
from headstart.finetune.loop import Limits, Record, Training
from headstart.finetune.problem import Examples, Problem
from headstart.heads.head import Head
from headstart.tuning import Tuning

Weights = Mapping[str, npt.NDArray[np.float32]]
SIZE = (16, 16)
CLASSES = 3
TUNING = Tuning(epochs=3, batch_size=16, learning_rate=1e-3)


def tiny_model() -> Any:
    """The backbone with its own weights, another object each time."""
    return load_backbone("tiny").build(SIZE)


def tiny_cut(unfreeze: int | str = "block3") -> Cut:
    """A cut of a network of its own."""
    model = tiny_model()
    found = cut_for(model, find_depth(model, unfreeze), np.inf)
    assert found is not None
    return found


def random_head(kind: str = "linear", seed: int = 0) -> Head:
    """A head that knows nothing yet."""
    rng = np.random.default_rng(seed)
    widths = (32, 8, CLASSES) if kind == "mlp" else (32, CLASSES)
    layers = [
        (
            rng.normal(0, 0.1, pair).astype(np.float32),
            rng.normal(0, 0.1, pair[1]).astype(np.float32),
        )
        for pair in itertools.pairwise(widths)
    ]
    return Head(kind, tuple(layers))


@dataclass(frozen=True, eq=False)
class ArrayInputs:
    """Inputs held in memory, one view of each."""

    values: npt.NDArray[np.float32]

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Rows:
        """There is but one."""
        return np.zeros(count, np.int64)

    def read(self, rows: Rows, views: Rows) -> npt.NDArray[np.float32]:
        """The rows as they are."""
        return self.values[rows]


def examples(cut: Cut, count: int, seed: int) -> Examples:
    """What enters a cut, with a pattern that tells the classes apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    shape = cut.suffix.inputs[0].shape[1:]
    patterns = np.random.default_rng(9).uniform(0, 4, (CLASSES, *shape))
    values = patterns[labels] + rng.uniform(0, 1, (count, *shape))
    return Examples(ArrayInputs(values.astype(np.float32)), labels, np.ones(count, np.float32))


def problem(cut: Cut, train: int = 40, validation: int = 15) -> Problem:
    """40 images to learn from: batches of 16, 16 and 8."""
    return Problem(examples(cut, train, 1), examples(cut, validation, 2), CLASSES, seed=3)


def learner(
    tuning: Tuning = TUNING, kind: str = "linear", unfreeze: int | str = "block3"
) -> Learner:
    """A learner of its own."""
    return Learner(tiny_cut(unfreeze), random_head(kind), tuning, seed=3)


@functools.cache
def _compiled() -> tuple[Learner, list[npt.NDArray[Any]]]:
    made = learner()
    return made, made.state()


def training(tuning: Tuning = TUNING, given: Problem | None = None) -> Training:
    """A training that has not begun; all have one learner, compiled once for `TUNING`."""
    made, begin = _compiled()
    made.set_state(begin)
    return Training(made, given or problem(made.cut), tuning, Checkpoint(None))


def fresh_training(path: Path | None = None, tuning: Tuning = TUNING) -> Training:
    """A training with a learner of its own, as another process would make it."""
    made = learner(tuning)
    return Training(made, problem(made.cut), tuning, Checkpoint(path))


def run(made: Training, rate: float | None = None, limits: Limits | None = None) -> Record:
    """Run it as its tuning says."""
    epochs, usual = made.tuning.epochs, made.tuning.learning_rate
    assert epochs is not None
    assert usual is not None
    return made.run(epochs, usual if rate is None else rate, limits or Limits())


def same(one: Weights, other: Weights) -> bool:
    """Whether all weights are equal bit for bit."""
    return one.keys() == other.keys() and all(
        one[name].tobytes() == other[name].tobytes() for name in one
    )


def without_seconds(record: Record) -> Record:
    """What must be the same in every run."""
    kept = [{name: one for name, one in row.items() if name != "seconds"} for row in record.history]
    return replace(record, history=kept)


class AskedAfter:
    """Answers True from the given look on; a look is taken after each batch."""

    def __init__(self, looks: int = 1_000_000) -> None:
        self.most = looks
        self.looks = 0

    def __call__(self) -> bool:
        self.looks += 1
        return self.looks >= self.most
