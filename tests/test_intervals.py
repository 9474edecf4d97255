from __future__ import annotations

import numpy as np
import pytest
from calibrated import draw_answers
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from headstart import metrics
from headstart.intervals import NAMES, bootstrap_intervals, error_by_chance
from headstart.metrics import Probabilities, Rows


def measured(probabilities: Probabilities, labels: Rows) -> list[float]:
    """Balanced accuracy, macro F1 and log loss, as scikit-learn has them."""
    predicted, classes = probabilities.argmax(axis=1), range(probabilities.shape[1])
    return [
        balanced_accuracy_score(labels, predicted),
        f1_score(labels, predicted, labels=np.unique(labels), average="macro"),
        log_loss(labels, probabilities, labels=classes),
    ]


@pytest.mark.parametrize("count", [30, 300])
def test_the_same_as_drawing_one_by_one(count: int) -> None:
    probabilities, labels = draw_answers(count)
    rng = np.random.Generator(np.random.PCG64(5))
    drawn = []
    for _ in range(200):
        rows = rng.integers(0, count, count)
        drawn.append(measured(probabilities[rows], labels[rows]))
    expected = np.percentile(drawn, (2.5, 97.5), axis=0).T
    found = bootstrap_intervals(probabilities, labels)
    assert list(found) == list(NAMES)
    for name, ends, one in zip(NAMES, expected, measured(probabilities, labels), strict=False):
        assert found[name] == pytest.approx(tuple(ends), abs=0.35 * (ends[1] - ends[0]))
        assert found[name][0] < one < found[name][1]


@pytest.mark.parametrize(("temperature", "least"), [(1.0, 0.9), (0.6, 0.85), (1.6, 0.85)])
def test_the_interval_holds_the_true_calibration_error(temperature: float, least: float) -> None:
    true = metrics.expected_calibration_error(*draw_answers(200_000, temperature, seed=9))
    assert true is not None
    found = [
        bootstrap_intervals(*draw_answers(200, temperature, seed=seed))["calibration_error"]
        for seed in range(60)
    ]
    assert np.mean([low <= true <= high for low, high in found]) >= least
    if temperature == 1:
        assert np.mean([low == 0 for low, _ in found]) >= least
    else:
        assert np.mean([low > 0 for low, _ in found]) >= 0.5


def test_the_same_seed_gives_the_same() -> None:
    probabilities, labels = draw_answers(50)
    first = bootstrap_intervals(probabilities, labels, seed=3)
    assert bootstrap_intervals(probabilities, labels, seed=3) == first
    assert bootstrap_intervals(probabilities, labels, seed=4) != first


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images(count: int) -> None:
    probabilities, labels = draw_answers(5)
    assert bootstrap_intervals(probabilities[:count], labels[:count]) == {}


def test_where_all_is_right_the_interval_is_that_of_the_accuracy() -> None:
    found = bootstrap_intervals(np.eye(3)[[0, 1, 2, 2, 0]], np.array([0, 1, 2, 2, 0]))
    expected = metrics.wilson_interval(5, 5)
    assert found["balanced_accuracy"] == found["macro_f1"] == expected
    assert found["log_loss"] == (0.0, 0.0)


def test_many_images_are_drawn_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, labels = draw_answers(400)
    monkeypatch.setattr("headstart.intervals._BLOCK", 1000)  # two draws at a time
    monkeypatch.setattr("headstart.intervals._DRAWN_IMAGES", 400)
    low, high = bootstrap_intervals(probabilities, labels)["balanced_accuracy"]
    assert 0.04 < high - low < 0.2


@pytest.mark.parametrize("count", [100, 1000])
def test_the_calibration_error_by_chance(count: int) -> None:
    found = error_by_chance(draw_answers(count)[0])
    errors = [
        metrics.expected_calibration_error(*draw_answers(count, seed=seed)) for seed in range(40)
    ]
    assert found == pytest.approx(np.mean(np.array(errors, float)), rel=0.15)
    assert error_by_chance(np.empty((0, 3))) is None
