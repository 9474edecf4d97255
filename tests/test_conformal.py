from __future__ import annotations

import json

import numpy as np
import pytest
from calibrated import draw_answers

from headstart.conformal import (
    LEVELS,
    abstain_below,
    abstaining_figures,
    class_thresholds,
    fewest_images,
    form_sets,
    set_figures,
    set_threshold,
)
from headstart.decision import Decision, decision_from_dict
from headstart.errors import HeadstartError

NAMES = ("ants", "bees", "crabs", "dogs")


@pytest.mark.parametrize(("level", "fewest"), [(0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_the_fewest_images_of_a_threshold(level: float, fewest: int) -> None:
    own = np.linspace(0.1, 0.9, fewest)
    assert fewest_images(level) == fewest
    assert set_threshold(own, level) == pytest.approx(0.1)  # all of them are in their set
    assert set_threshold(own[1:], level) is None


@pytest.mark.parametrize("count", [9, 19, 20, 50, 99])
def test_the_finite_sample_quantile(count: int) -> None:
    """On average at least 90% of new images are above it, and hardly more."""
    rng = np.random.default_rng(count)
    found = [set_threshold(rng.random(count), 0.9) for _ in range(3000)]
    covered = 1 - np.array(found, float).mean()  # of uniform numbers
    assert 0.897 <= covered <= 0.9 + 1 / (count + 1) + 0.003


@pytest.mark.parametrize("level", LEVELS)
def test_each_class_is_covered(level: float) -> None:
    """Answers that are far from true, and better for some classes than for others."""
    probabilities, labels = draw_answers(8000, 2.0)
    probabilities[:, 2] *= 0.2
    own = probabilities[np.arange(8000), labels]
    thresholds = class_thresholds(own[:4000], labels[:4000], 4, level)
    figures = set_figures(form_sets(probabilities, thresholds)[4000:], labels[4000:], NAMES, level)
    for one in figures["classes"]:
        assert one["covered"] == pytest.approx(level, abs=0.03)
        assert one["low"] < one["covered"] < one["high"]
    assert sum(figures["sizes"].values()) == 4000


def test_a_class_with_few_images_takes_the_threshold_of_all() -> None:
    probabilities, labels = draw_answers(200)
    labels = np.where(labels == 3, 2, labels)
    labels[:8] = 3
    own = probabilities[np.arange(200), labels]
    found = class_thresholds(own, labels, 4, 0.9)
    assert found[3] == set_threshold(own, 0.9)
    assert found[2] == set_threshold(own[labels == 2], 0.9) != found[3]
    assert class_thresholds(own[:8], labels[:8], 4, 0.9) == (None,) * 4


def test_sets_and_their_figures() -> None:
    probabilities = np.array([[0.7, 0.3], [0.5, 0.5], [0.45, 0.55]])
    sets = form_sets(probabilities, (0.5, 0.6))
    assert sets.tolist() == [[True, False], [True, False], [False, False]]
    found = set_figures(sets, np.array([0, 1, 0]), ("ants", "bees"), 0.9)
    assert found["sizes"] == {"0": 1, "1": 2}
    assert found["mean_size"] == pytest.approx(2 / 3)
    assert [one["covered"] for one in found["classes"]] == [0.5, 0.0]
    assert found["covered"] == pytest.approx(1 / 3)
    assert form_sets(probabilities, (None, 0.6))[:, 0].all()
    json.dumps(found, allow_nan=False)


def test_a_class_without_test_images() -> None:
    found = set_figures(np.ones((2, 2), bool), np.array([0, 0]), ("ants", "bees"), 0.9)
    assert found["classes"][1] == {
        "name": "bees", "images": 0, "covered": None, "low": None, "high": None,
    }  # fmt: skip


def test_what_abstaining_costs() -> None:
    probabilities = np.array([[0.95, 0.05], [0.75, 0.25], [0.65, 0.35], [0.55, 0.45]])
    rows = abstaining_figures(probabilities, np.array([0, 0, 1, 0]))
    at = {row["threshold"]: (row["answered"], row["accuracy"]) for row in rows}
    assert at[0.0] == at[0.5] == (1.0, 0.75)
    assert at[0.6] == (0.75, pytest.approx(2 / 3))
    assert at[0.7] == (0.5, 1.0)
    assert at[0.99] == (0.0, None)
    assert [row["threshold"] for row in rows] == sorted(at)
    assert abstaining_figures(np.empty((0, 2)), np.empty(0, np.int64)) == []


def test_the_threshold_that_halves_the_errors() -> None:
    probabilities, labels = draw_answers(3000)
    stated, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
    found = abstain_below(probabilities, labels)
    assert found is not None
    assert wrong[stated >= found].mean() == pytest.approx(wrong.mean() / 2, rel=0.02)
    assert wrong[stated >= found - 0.02].mean() > wrong.mean() / 2
    assert abstain_below(probabilities[:19], labels[:19]) is None
    assert abstain_below(probabilities, probabilities.argmax(axis=1)) is None


DECISION = Decision({0.8: (0.5, 0.4), 0.9: (0.2, None)}, (30, 9), "validation", 0.7, 0.5, 0.1)


def test_a_decision_is_the_same_once_read() -> None:
    text = json.dumps(DECISION.to_dict(), allow_nan=False)
    assert decision_from_dict(json.loads(text), 2) == DECISION
    with pytest.raises(ValueError, match="not those of 3 classes"):
        decision_from_dict(json.loads(text), 3)


def test_a_decision_for_another_level() -> None:
    probabilities = np.array([[0.45, 0.55]])
    assert DECISION.sets(probabilities) is not None
    sets = DECISION.at(0.8).sets(probabilities)
    assert sets is not None
    assert sets.tolist() == [[False, True]]
    with pytest.raises(HeadstartError, match=r"no sets for the level 0\.99\..*0\.8, 0\.9\. Choose"):
        DECISION.at(0.99)
    with pytest.raises(HeadstartError, match=r"of this classifier: none\."):
        Decision({}, (), "").at(0.9)
    assert Decision({}, (), "").sets(probabilities) is None
