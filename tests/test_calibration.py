from __future__ import annotations

import numpy as np
import pytest
from calibrated import draw_answers

from headstart.calibration import (
    best_temperature,
    calibration_figures,
    fit_temperature,
    log_probabilities,
    warmed,
)
from headstart.heads import Head


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.8])
def test_the_temperature_is_found(temperature: float) -> None:
    probabilities, labels = draw_answers(5000, temperature)
    assert fit_temperature(probabilities, labels) == pytest.approx(temperature, rel=0.06)
    cooled = np.exp(warmed(log_probabilities(probabilities), temperature))
    before, after = (calibration_figures(one, labels) for one in (probabilities, cooled))
    if temperature != 1:
        assert after["calibration_error"] < before["calibration_error"] / 2
        assert after["log_loss"] < before["log_loss"]


def test_few_images_move_it_little() -> None:
    found = [abs(np.log(fit_temperature(*draw_answers(count, 2.5)))) for count in (4, 40, 4000)]
    assert found[0] < found[1] < found[2]
    assert fit_temperature(np.empty((0, 3)), np.empty(0, np.int64)) == 1.0


@pytest.mark.parametrize("count", [10, 1000])
def test_perfect_answers_do_not_become_certain(count: int) -> None:
    labels = np.arange(count) % 3
    probabilities = np.where(np.eye(3)[labels] > 0, 0.9, 0.05)
    assert 0.3 < fit_temperature(probabilities, labels) < 1
    assert best_temperature(log_probabilities(probabilities), labels, 0.0) < 0.3


def test_it_is_rounded_so_that_the_last_bits_do_not_count() -> None:
    probabilities, labels = draw_answers(300, 1.3)
    near = probabilities.astype(np.float32)
    assert fit_temperature(near, labels) == fit_temperature(probabilities, labels)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_a_head_with_a_temperature(layers: int, temperature: float) -> None:
    rng = np.random.default_rng(0)
    shapes = [(8, 6), (6, 4)][-layers:]
    made = [(rng.normal(size=one), rng.normal(size=one[1])) for one in shapes]
    head = Head("mlp", tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in made))
    features = rng.normal(size=(200, shapes[0][0])).astype(np.float32)
    tempered = head.tempered(temperature)
    np.testing.assert_allclose(
        tempered.logits(features), head.logits(features) / temperature, rtol=1e-4, atol=1e-5
    )
    both = (one.probabilities(features).argmax(axis=1) for one in (head, tempered))
    assert np.array_equal(*both)


def test_a_class_without_training_images_stays_improbable() -> None:
    weights = np.array([[1, 0, -1]], np.float32)
    head = Head("linear", ((weights, np.array([0, -20, 0], np.float32)),)).tempered(4.0)
    assert head.layers[0][1].tolist() == [0, -20, 0]
    assert head.layers[0][0].tolist() == [[0.25, 0, -0.25]]


def test_the_bins_of_a_reliability_diagram() -> None:
    probabilities = np.array([[0.95, 0.05], [0.94, 0.06], [0.4, 0.6]])
    bins = calibration_figures(probabilities, np.array([0, 1, 1]))["bins"]
    assert len(bins) == 15
    used = {round(15 * one["low"]): one for one in bins if one["images"]}
    assert set(used) == {8, 14}
    assert used[14]["images"] == 2
    assert (used[14]["stated"], used[14]["right"]) == pytest.approx((0.945, 0.5))
    assert (bins[0]["stated"], bins[0]["right"]) == (None, None)


def test_without_images() -> None:
    found = calibration_figures(np.empty((0, 3)), np.empty(0, np.int64))
    assert (found["calibration_error"], found["log_loss"], found["by_chance"]) == (None,) * 3
    assert {one["images"] for one in found["bins"]} == {0}
