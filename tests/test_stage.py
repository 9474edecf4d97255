"""One fine-tuning from start to end, and which weights of the way are kept."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from tiny_tuning import TUNING, AskedAfter, Weights, problem, random_head, same, tiny_cut

from headstart.cut import Cut
from headstart.errors import HeadstartError
from headstart.finetune.checkpoint import Checkpoint
from headstart.finetune.learner import Learner
from headstart.finetune.loop import Limits
from headstart.finetune.problem import judge
from headstart.finetune.stage import Plan, Stage, between, run_stage
from headstart.heads.head import Head
from headstart.suffix import read_weights
from headstart.tuning import Tuning

START = {"a/0": np.array([1, 2], np.float32), "b/0": np.array([[0.1]], np.float32)}
END = {"a/0": np.array([3, 1], np.float32), "b/0": np.array([[0.7]], np.float32)}


def test_the_way_between_is_exact_at_its_ends() -> None:
    assert same(between(START, END, 0.0), START)
    assert same(between(START, END, 1.0), END)
    half = between(START, END, 0.5)
    assert half["a/0"].tolist() == [2.0, 1.5]
    assert half["b/0"] == pytest.approx(0.4)
    assert all(one.dtype == np.float32 for one in half.values())


@dataclass(frozen=True, eq=False)
class Start:
    """What a stage begins from; `weights` where that is not the backbone as it is."""

    cut: Cut
    head: Head
    weights: Weights = field(default_factory=dict)

    def learner(self, tuning: Tuning) -> Learner:
        """What learns from there."""
        made = Learner(self.cut, self.head, tuning, seed=3)
        made.set_weights({**made.weights(), **self.weights})
        return made


def stage(
    rate: float, tuning: Tuning = TUNING, validation: int = 15, limits: Limits | None = None
) -> tuple[Stage, Start]:
    start = Start(tiny_cut(), random_head())
    plan = Plan(tuning.epochs or 1, rate, limits or Limits())
    given = problem(start.cut, validation=validation)
    made = start.learner(tuning)
    return run_stage(made, given, tuning, plan, Checkpoint(None)), start


@functools.cache
def good_stage() -> tuple[Stage, Start]:
    return stage(1e-2)


def test_what_a_stage_gives() -> None:
    result, start = good_stage()
    assert (result.moved, result.share > 0) == (("block3_conv", "block3_bn"), True)
    assert result.frozen == ()
    assert (result.suffix.layer, result.suffix.width) == ("block2_relu", 32)
    assert set(result.suffix.weights) == set(read_weights(start.cut.suffix))
    assert result.before is not None
    assert result.after is not None
    assert result.after.accuracy > result.before.accuracy
    details = result.details()
    assert details["stopped"] == "epochs"
    assert details["after"]["accuracy"] == result.after.accuracy


def test_what_it_gives_is_as_good_as_it_says() -> None:
    result, start = good_stage()
    again = Learner(start.cut, result.head, TUNING, 0)
    again.set_weights({**again.weights(), **result.suffix.weights})
    judged = judge(again, problem(start.cut).validation, TUNING.label_smoothing)
    assert result.after is not None
    assert judged.accuracy == result.after.accuracy
    assert judged.calibrated_loss == pytest.approx(result.after.calibrated_loss, abs=1e-3)


@pytest.mark.parametrize("interpolate", [True, False])
def test_what_makes_it_worse_is_left(interpolate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.finetune.loop._TOO_HIGH", 100)
    start = Start(tiny_cut(), random_head())
    given = problem(start.cut)
    wrong = replace(given.train, labels=(given.train.labels + 1) % 3)
    good, _ = good_stage()
    start = replace(start, head=good.head, weights=good.suffix.weights)
    plan = Plan(3, 1e-2, Limits())
    tuning = replace(TUNING, interpolate=interpolate)
    made = start.learner(tuning)
    result = run_stage(made, replace(given, train=wrong), tuning, plan, Checkpoint(None))
    assert result.record.best_epoch > 0
    assert result.before is not None
    assert result.after is not None
    assert result.after.accuracy >= result.before.accuracy
    assert result.after.calibrated_loss <= result.before.calibrated_loss
    if interpolate:
        return
    assert (result.share, result.after) == (0, result.before)
    assert same(result.suffix.weights, {**start.weights})
    assert all(map(np.array_equal, result.head.arrays().values(), good.head.arrays().values()))


@pytest.mark.parametrize("validation", [15, 0])
@pytest.mark.parametrize("how", ["diverged", "interrupted"])
def test_where_no_epoch_counts_the_start_is_kept(how: str, validation: int) -> None:
    asked = AskedAfter(1) if how == "interrupted" else AskedAfter(1000)
    result, start = stage(1e6, validation=validation, limits=Limits(asked=asked))
    assert (result.record.stopped, result.share, result.moved) == (how, 0, ())
    assert same(result.suffix.weights, read_weights(tiny_cut().suffix))
    assert all(map(np.array_equal, result.head.arrays().values(), start.head.arrays().values()))


def test_without_a_validation_part_the_end_is_kept() -> None:
    result, _ = stage(1e-2, validation=0)
    assert (result.share, result.before, result.after) == (1, None, None)
    assert result.details()["before"] is None


def test_a_layer_that_should_learn_and_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.finetune.loop.rate_at", lambda *_: 0.0)
    with pytest.raises(HeadstartError, match=r"unfrozen have not changed: block3_conv, .*head"):
        stage(1e-2)


def test_a_layer_that_learns_and_should_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def freeze_nothing(model: Any, names: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
        for layer in model.layers:
            layer.trainable = True
        return ("block3_conv",), ()

    monkeypatch.setattr("headstart.finetune.learner.freeze_but", freeze_nothing)
    with pytest.raises(HeadstartError, match=r"that were frozen have changed: block3_bn\."):
        stage(1e-2)
