from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from feature_rows import make_data, make_rows

from headstart.errors import HeadstartError
from headstart.heads import TrainingData, fit_head
from headstart.heads import prototype as module
from headstart.heads.data import measure_scaling, row_weights
from headstart.heads.head import Floats, softmax


def scaled_rows(data: TrainingData) -> Floats:
    return measure_scaling(data.features, module._FLOOR).apply(data.features)


def answer(rows: Floats, means: Floats, sharpness: float) -> Floats:
    """Nearest class mean by definition: the distance of each row to each mean, one by one."""
    squares = np.array([[np.sum((row - mean) ** 2) for mean in means] for row in rows])
    return softmax((-sharpness / rows.shape[1] / 2 * squares).astype(np.float32))


@pytest.mark.parametrize("counts", [[4, 4, 4], [1, 1], [1, 2, 9, 3], [30, 40]])
@pytest.mark.parametrize("width", [5, 60])
def test_the_nearest_class_mean(counts: list[int], width: int) -> None:
    data = make_data(counts, width)
    fitted = fit_head("prototype", data)
    scaling = measure_scaling(data.features, module._FLOOR)
    rows = scaling.apply(data.features)
    means = np.stack([rows[data.labels == label].mean(axis=0) for label in range(len(counts))])
    features, _ = make_rows([10] * len(counts), width, seed=3)
    expected = answer(scaling.apply(features), means, fitted.details["sharpness"])
    np.testing.assert_allclose(fitted.head.probabilities(features), expected, atol=2e-3)
    assert fitted.head.kind == "prototype"
    assert len(fitted.head.layers) == 1


def leave_one_out(data: TrainingData, sharpness: float, weight: str) -> tuple[float, float, int]:
    """Loss, accuracy and number of images, each held against the means without it."""
    rows, labels = scaled_rows(data), data.labels
    able = np.flatnonzero(data.counts[labels] > 1)
    answers = []
    for row in able:
        others = np.arange(len(rows)) != row
        means = [rows[others & (labels == label)].mean(axis=0) for label in range(data.num_classes)]
        answers.append(answer(rows[row : row + 1], np.stack(means), sharpness)[0])
    own = np.array(answers)[np.arange(len(able)), labels[able]]
    share = row_weights(labels, data.counts, weight)[able]
    right = np.argmax(answers, axis=1) == labels[able]
    return float(np.average(-np.log(own), weights=share)), float(right.mean()), len(able)


@pytest.mark.parametrize("weight", ["none", "balanced"])
@pytest.mark.parametrize("counts", [[4, 4, 4], [2, 2], [1, 2, 5, 3]])
@pytest.mark.parametrize("noise", [0.3, 1.5])
def test_the_sharpness_by_leaving_one_out(counts: list[int], noise: float, weight: str) -> None:
    data = make_data(counts, 30, noise=noise)
    details = fit_head("prototype", data, class_weight=weight).details
    tried = {one: leave_one_out(data, one, weight) for one in module.SHARPNESS}
    best = min(tried, key=lambda one: tried[one][0])
    loss, accuracy, images = tried[best]
    assert details["sharpness"] == best
    assert details["cv_log_loss"] == pytest.approx(loss, rel=1e-3)
    assert details["cv_accuracy"] == pytest.approx(accuracy)
    assert details["cv_images"] == images
    assert details["class_weight"] == weight


def test_other_noise_another_sharpness() -> None:
    chosen = [
        fit_head("prototype", make_data([4] * 5, 60, noise=noise)).details["sharpness"]
        for noise in (1.0, 2.5, 10.0)
    ]
    assert chosen[0] > chosen[1] > chosen[2]


def test_one_image_a_class() -> None:
    data = make_data([1, 1, 1], 40)
    fitted = fit_head("prototype", data)
    assert fitted.details == {
        "class_weight": "none",
        "sharpness": module.DEFAULT_SHARPNESS,
        "cv_accuracy": None,
        "cv_log_loss": None,
        "cv_images": 0,
    }
    features, labels = make_rows([50, 50, 50], 40, seed=7)
    assert (fitted.head.probabilities(features).argmax(axis=1) == labels).mean() > 0.85


def test_better_than_chance_from_two_images() -> None:
    fitted = fit_head("prototype", make_data([2] * 5, 100, noise=2.0))
    features, labels = make_rows([40] * 5, 100, noise=2.0, seed=7)
    assert (fitted.head.probabilities(features).argmax(axis=1) == labels).mean() > 0.8


@pytest.mark.parametrize("absent", [[0], [2, 3]])
@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_classes_without_images_get_no_probability(absent: list[int], noise: float) -> None:
    counts = [0 if label in absent else 4 for label in range(4)]
    features, labels = make_rows(counts, 30, noise=noise)
    fitted = fit_head("prototype", TrainingData(features, labels, 4))
    far = np.random.default_rng(0).normal(0, 30, (200, 30)).astype(np.float32)
    near = features.mean(axis=0, keepdims=True, dtype=np.float32)
    for rows in (features, near, far):
        assert fitted.head.probabilities(rows)[:, absent].max() < 1e-8
    assert np.array_equal(fitted.head.probabilities(features).argmax(axis=1), labels)


def test_the_validation_part_and_the_seed_have_no_say() -> None:
    data = make_data([3, 4], 10, validation=5)
    without = replace(data, validation_features=None, validation_labels=None)
    one, other = fit_head("prototype", data, seed=0), fit_head("prototype", without, seed=1)
    assert one.details == other.details
    for name, array in one.head.arrays().items():
        assert np.array_equal(array, other.head.arrays()[name])


def test_constant_features() -> None:
    features = np.full((4, 3), 2.5, np.float16)
    fitted = fit_head("prototype", TrainingData(features, np.array([0, 0, 1, 1]), 2))
    np.testing.assert_allclose(fitted.head.probabilities(features), 0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite(bad: Any) -> None:
    data = make_data([2, 2], 10)
    data.features[3, 4] = bad
    with pytest.raises(HeadstartError, match=r"Features of 1 images are not finite numbers"):
        fit_head("prototype", data)
