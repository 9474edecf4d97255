"""Epochs, schedule, early stopping and the way back from a learning rate that is too high."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from tiny_tuning import TUNING, AskedAfter, problem, run, same, training, without_seconds

from headstart import progress
from headstart.finetune.inputs import Inputs, Rows
from headstart.finetune.learner import Learner
from headstart.finetune.loop import Diverged, Limits, Record, Training, rate_at
from headstart.finetune.problem import Judgement, judgement
from headstart.tuning import Tuning

STEPS = 100


def rates(**choices: object) -> list[float]:
    tuning = Tuning(**choices)  # type: ignore[arg-type]
    return [rate_at(step, STEPS, tuning) for step in range(STEPS)]


def test_the_learning_rate_warms_up_and_falls_as_a_cosine() -> None:
    got = rates(warmup=0.1)
    assert got[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert got[10] == max(got) == 1
    assert got == sorted(got[:10]) + sorted(got[10:], reverse=True)
    assert got[55] == pytest.approx(0.5)
    assert 0 < got[-1] < 1e-3


def test_without_warm_up_it_begins_at_the_top() -> None:
    got = rates(warmup=0)
    assert got[0] == 1
    assert got[50] == pytest.approx(0.5)


def test_a_constant_learning_rate() -> None:
    assert set(rates(schedule="constant", warmup=0)) == {1.0}
    got = rates(schedule="constant", warmup=0.2)
    assert set(got[20:]) == {1.0}
    assert 0 < got[0] < got[19] < 1


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_very_few_steps(steps: int) -> None:
    got = [rate_at(step, steps, Tuning(warmup=0.5)) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in got)


def test_the_rates_that_the_learner_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[float] = []
    take_step = Learner.step

    def step(self: Learner, inputs: object, targets: object, weights: object, rate: float) -> float:
        got.append(rate)
        return take_step(self, inputs, targets, weights, rate)  # type: ignore[arg-type]

    monkeypatch.setattr(Learner, "step", step)
    run(training())
    assert got == [rate_at(number, 9, TUNING) * 1e-3 for number in range(9)]


def test_it_learns() -> None:
    made = training()
    record = run(made, 1e-2)
    assert (record.stopped, record.retries, len(record.history)) == ("epochs", 0, 3)
    assert made.before is not None
    assert record.history[-1]["validation_loss"] < 0.8 * made.before.loss
    assert record.history[-1]["train_loss"] < record.history[0]["train_loss"]


def judging(losses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The start, and then each epoch, is judged to have one of these losses."""
    given = iter(losses)
    some = judgement(np.full((2, 2), 0.5, np.float32), np.array([0, 1]), 0.1)

    def judge(*_: object) -> Judgement:
        loss = next(given)
        return replace(some, loss=loss, losses=np.array([loss], np.float64))

    monkeypatch.setattr("headstart.finetune.loop.judge", judge)


@pytest.mark.parametrize(
    ("losses", "patience", "best", "epochs", "stopped"),
    [
        ([5, 3, 2, 4, 4, 1], 2, 2, 4, "patience"),
        ([5, 3, 2, 4, 1, 4], 2, 4, 5, "epochs"),
        ([1, 9, 9, 9, 9, 9], 3, 1, 4, "patience"),
        ([5, 4, 3, 2, 1, 0.5], 1, 5, 5, "epochs"),
    ],
)
def test_early_stopping_and_the_best_epoch(
    losses: list[float], patience: int, best: int, epochs: int, stopped: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    judging(losses, monkeypatch)
    made = training(replace(TUNING, epochs=5, patience=patience))
    seen = [made.learner.weights()]
    note = made._note

    def look(*given: Any) -> None:
        seen.append(made.learner.weights())
        note(*given)

    monkeypatch.setattr(made, "_note", look)
    record = run(made)
    assert (record.best_epoch, len(record.history), record.stopped) == (best, epochs, stopped)
    assert same(made.best, seen[best])
    assert not same(made.best, seen[best - 1])


def test_without_a_validation_part_the_last_epoch_is_the_best() -> None:
    made = training()
    made = training(given=problem(made.learner.cut, validation=0))
    record = run(made)
    assert (made.before, record.best_epoch) == (None, 3)
    assert set(record.history[0]) == {"train_loss", "seconds"}
    assert same(made.best, made.learner.weights())


def told(rate: float, tuning: Tuning = TUNING) -> tuple[Record, list[str], bool]:
    messages: list[str] = []
    made = training(tuning)
    with progress.listen(lambda event: messages.append(event.message)):
        record = run(made, rate)
    return record, [one for one in messages if one], same(made.best, made.start)


def test_a_learning_rate_that_is_too_high_is_lowered() -> None:
    record, messages, _ = told(1.0)
    assert 1 <= record.retries <= 3
    assert record.learning_rate == 0.25**record.retries
    assert len(messages) == record.retries
    assert "with the learning rate 1: it was too high; beginning anew with 0.25" in messages[0]


def test_one_that_stays_too_high_leaves_the_start() -> None:
    record, messages, unchanged = told(1e6)
    assert (record.retries, record.stopped) == (3, "diverged")
    assert (record.history, record.best_epoch, unchanged) == ([], 0, True)
    assert messages[-1].endswith(": it is still too high; this training is given up")
    assert len(messages) == 4


@dataclass(frozen=True)
class HardViews:
    """Inputs whose views are those of other classes, so that a sure head is wrong."""

    inputs: Inputs

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Rows:
        return np.ones(count, np.int64)

    def read(self, rows: Rows, views: Rows) -> Any:
        return self.inputs.read((rows + views) % 40, views)


@pytest.mark.parametrize(("rate", "high"), [(1e-6, False), (1.0, True)])
def test_a_start_that_is_bad_on_views_alone_is_no_learning_rate_too_high(
    rate: float, high: bool
) -> None:
    made = training()
    run(made, 3e-2)
    made.learner.divide_logits(0.1)  # sure, and right about the images themselves
    hard = HardViews(made.problem.train.inputs)
    given = replace(made.problem, train=replace(made.problem.train, inputs=hard))
    made = Training(made.learner, given, TUNING, made.checkpoint)
    messages: list[str] = []
    with progress.listen(lambda event: messages.append(event.message)):
        record = run(made, rate)
    assert made.before is not None
    assert record.history[0]["train_loss"] > 2 * max(math.log(3), made.before.loss)
    assert (record.retries > 0) == any("the loss rose from" in one for one in messages) == high


def test_looking_at_the_start_leaves_the_learner_as_it_was() -> None:
    made = training()
    begin, weights = made.learner.state(), made.learner.weights()
    made.learner.step(*next(made._batches(1))[1:], np.ones(16, np.float32), 1e-2)
    now = made.learner.state()
    assert made._loss_at_start(begin) == made._loss_at_start(begin)
    assert all(map(np.array_equal, now, made.learner.state()))
    assert not same(weights, made.learner.weights())


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([1, math.nan, 1, 1, 1], "validation loss is not a number"),
        ([1, 1, 1, math.inf, 1, 1, 1], ""),
    ],
)
def test_a_validation_loss_that_is_no_number(
    losses: list[float], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging(losses, monkeypatch)
    record, messages, _ = told(1e-3)
    assert (record.retries, record.learning_rate, len(record.history)) == (1, 0.25e-3, 3)
    assert message in messages[0]


def test_weights_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    made = training()
    broken = {name: one * np.float32("nan") for name, one in made.start.items()}
    monkeypatch.setattr(made.learner, "weights", lambda: broken)
    with pytest.raises(Diverged, match="the weights are not numbers"):
        made._finite_weights()


def test_a_start_that_is_worse_than_chance_is_no_reason_to_give_up() -> None:
    made = training()
    weights = made.learner.weights()
    wild = {name: one * 40 if "head" in name else one for name, one in weights.items()}
    made.learner.set_weights(wild)
    made = type(made)(made.learner, made.problem, TUNING, made.checkpoint)
    assert made.before is not None
    assert made.before.loss > 2 * math.log(3)
    assert run(made).retries == 0


@pytest.mark.parametrize("batches", [1, 2, 4])
def test_asked_to_stop_it_does_so_after_the_batch(
    batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, rates = training(), []
    take_step = made.learner.step

    def step(inputs: Any, targets: Any, weights: Any, rate: float) -> float:
        rates.append(rate)
        return take_step(inputs, targets, weights, rate)

    monkeypatch.setattr(made.learner, "step", step)
    record = run(made, limits=Limits(asked=AskedAfter(batches)))
    assert (record.stopped, len(rates)) == ("interrupted", batches)
    assert (len(record.history), record.best_epoch) == (batches // 3, batches // 3)
    assert same(made.best, made.start) == (batches < 3)


def test_a_time_limit() -> None:
    made = training()
    record = run(made, limits=Limits(deadline=time.monotonic()))
    assert (record.stopped, record.history) == ("time limit", [])


def test_mixup_changes_what_is_learned_and_stays_repeatable() -> None:
    def result(mixup: float) -> Record:
        return without_seconds(run(training(replace(TUNING, mixup=mixup)), 1e-2))

    assert result(0.4) == result(0.4) != result(0)


def test_class_weights_count() -> None:
    made = training()
    given = made.problem
    weights = np.where(given.train.labels == 2, 3, 1e-3).astype(np.float32)
    only = replace(given, train=replace(given.train, weights=weights))
    made = training(given=only)
    run(made, 1e-2)
    rows = np.arange(15)
    answers = made.learner.probabilities(given.validation.inputs.read(rows, rows))
    assert (answers.argmax(axis=1) == 2).all()


@pytest.mark.parametrize(
    ("losses", "epochs", "stopped"),
    [
        ([0.0, 0.0, 0.0, 0.0], 4, "behind"),
        ([9.0, 9.0, 0.0, 0.0], 4, "epochs"),  # ahead of it half way
        ([0.0, 0.0, 0.0], 3, "epochs"),  # of another length: not to be compared
    ],
)
def test_behind_another_training_half_way(losses: list[float], epochs: int, stopped: str) -> None:
    made = training(replace(TUNING, epochs=4))
    made.rival = Record(epochs, 1e-3, history=[{"validation_loss": one} for one in losses])
    record = run(made)
    assert record.stopped == stopped
    assert len(record.history) == (2 if stopped == "behind" else 4)
    assert record.best_epoch > 0
