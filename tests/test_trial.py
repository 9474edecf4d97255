"""Short trainings to choose the learning rate and whether views are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from tiny_tuning import TUNING, learner, problem, same

from headstart import progress
from headstart.finetune.inputs import Inputs, Plain, Rows, Some
from headstart.finetune.loop import Limits
from headstart.finetune.problem import Judgement, Problem, judgement
from headstart.finetune.rate import usual_epochs, usual_rate
from headstart.finetune.trial import Trials, some, without_views
from headstart.tuning import Tuning

RATE = 0.01


def judged(loss: float, spread: float = 0.0) -> Judgement:
    losses = loss + spread * np.linspace(-1, 1, 25)
    return Judgement(loss, loss, 0.5, 1.0, losses)


class Played(Trials):
    """Trials whose results are given by their learning rate, None for one that diverges."""

    def __init__(self, results: Mapping[float, Judgement | None]) -> None:
        super().__init__(learner(), TUNING, 3, Limits())
        self.results = results

    def _try(self, problem: Problem, rate: float, seen: int) -> Judgement | None:
        plain = isinstance(problem.train.inputs, Plain)
        return self.results[-1.0 if plain else round(rate / RATE, 2)]


@pytest.mark.parametrize(
    ("results", "factor"),
    [
        ({1.0: judged(1.0)}, 1),  # below the middle between the start, 1.2, and chance, 1.1
        ({1.0: judged(1.2), 0.33: judged(1.0)}, 1 / 3),
        ({1.0: None, 0.33: judged(1.2), 0.11: judged(0.9)}, 1 / 9),
        ({1.0: None, 0.33: None, 0.11: None}, 1 / 27),
    ],
)
def test_the_usual_rate_stays_unless_it_undoes_what_is_known(
    results: Mapping[float, Judgement | None], factor: float
) -> None:
    heard: list[str] = []
    with progress.listen(lambda event: heard.append(event.message)):
        found = Played(results).steady_rate(problem(learner().cut), RATE)
    assert found == pytest.approx(RATE * factor)
    assert any("undoes what is known" in one for one in heard) == (factor != 1)


@pytest.mark.parametrize(
    ("views", "plain", "help_"),
    [
        (judged(1.0), judged(1.0), True),
        (judged(1.0), judged(0.9, 1.0), True),
        (judged(1.0), judged(0.9), False),
        (None, judged(0.9), False),
        (None, None, False),
        (judged(1.0), None, True),
    ],
)
def test_views_stay_unless_they_make_it_worse(
    views: Judgement | None, plain: Judgement | None, help_: bool
) -> None:
    heard: list[str] = []
    trials = Played({1.0: views, -1.0: plain})
    with progress.listen(lambda event: heard.append(event.message)):
        assert trials.views_help(problem(learner().cut), RATE) == help_
    assert any("none are used" in one for one in heard) != help_


def test_a_learner_is_left_as_it_was() -> None:
    made = learner()
    before, given = made.weights(), problem(made.cut)
    heard: list[str] = []
    with progress.listen(lambda event: heard.append(event.message)):
        trials = Trials(made, TUNING, 3, Limits())
        assert trials.steady_rate(given, 1e6) == pytest.approx(1e6 / 27)  # all diverge
        trials.views_help(given, RATE)
    assert same(before, made.weights())
    assert not any("beginning anew" in one or "given up" in one for one in heard)


@pytest.mark.parametrize("limits", [Limits(asked=lambda: True), Limits(deadline=0)])
def test_a_trial_that_was_cut_short_tells_nothing(limits: Limits) -> None:
    made, heard = learner(), list[str]()
    with progress.listen(lambda event: heard.append(event.message)):
        trials = Trials(made, TUNING, 3, limits)
        assert trials.steady_rate(problem(made.cut), RATE) == RATE
        assert trials.views_help(problem(made.cut), RATE)
    assert not any(heard)


def test_the_seed_draws_the_images_of_a_trial() -> None:
    given = problem(learner().cut)
    (one, again), other = (
        (some(given, 16), some(given, 16)),
        some(replace(given, seed=4), 16),
    )
    assert np.array_equal(one.train.labels, again.train.labels)
    assert not np.array_equal(one.train.labels, other.train.labels)
    assert isinstance(one.train.inputs, Some)
    rows = one.train.inputs.rows
    assert np.array_equal(one.train.labels, given.train.labels[rows])
    expected = given.train.inputs.read(rows, np.zeros_like(rows))
    assert np.array_equal(one.train.inputs.read(np.arange(16), np.zeros(16, np.int64)), expected)


@dataclass(frozen=True)
class Viewed:
    """Inputs with three views."""

    inputs: Inputs

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Rows:
        return generator.integers(0, 4, count)

    def read(self, rows: Rows, views: Rows) -> Any:
        return self.inputs.read(rows, views)


def test_without_views_only_the_image_is_drawn() -> None:
    given = problem(learner().cut)
    viewed = replace(given, train=replace(given.train, inputs=Viewed(given.train.inputs)))
    generator = np.random.default_rng(0)
    assert viewed.train.inputs.draw(50, 1, generator).any()
    assert not without_views(viewed).train.inputs.draw(50, 1, generator).any()


@pytest.mark.parametrize(
    ("images", "rate"), [(10_000, 1e-3), (1_500, 1e-3), (750, 5e-4), (10, 1e-4)]
)
def test_fewer_images_have_a_lower_rate(images: int, rate: float) -> None:
    assert usual_rate(images) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("images", "asked", "epochs"), [(10, None, 20), (1_673, None, 12), (1e6, None, 12), (10, 3, 3)]
)
def test_usual_epochs(images: int, asked: int | None, epochs: int) -> None:
    assert usual_epochs(int(images), Tuning(epochs=asked)) == epochs


def test_what_is_sure_is_compared_at_its_best_temperature() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    logits = rng.normal(0, 1, (200, 3)) + 2 * np.eye(3)[labels]
    found = [
        judgement(
            (np.exp(logits * scale) / np.exp(logits * scale).sum(1, keepdims=True)), labels, 0
        )
        for scale in (0.5, 1, 2)
    ]
    assert np.ptp([one.calibrated_loss for one in found]) < 1e-4
    assert np.ptp([one.log_loss for one in found]) > 0.05
    assert found[0].temperature < found[1].temperature < found[2].temperature
    assert not found[0].beats(found[2])
