from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from headstart import metrics
from headstart.metrics import Probabilities, Rows

CLASSES = 5


def make_answers(seed: int, count: int = 200, classes: int = CLASSES) -> tuple[Probabilities, Rows]:
    """Random probabilities and labels; class 1 has no image, class 3 is never the answer."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), count)
    probabilities[:, 3] *= 1e-3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = rng.choice([0, 2, 3, 4], count)
    helped = rng.random(count) < 0.4  # so that some answers are right
    probabilities[helped, labels[helped]] += np.where(labels[helped] == 3, 0, 1)
    return probabilities / probabilities.sum(axis=1, keepdims=True), labels


@pytest.fixture(params=range(3))
def answers(request: pytest.FixtureRequest) -> tuple[Probabilities, Rows]:
    return make_answers(request.param)


def test_confusion_matrix(answers: tuple[Probabilities, Rows]) -> None:
    probabilities, labels = answers
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, CLASSES)
    assert matrix.dtype == np.int64
    assert np.array_equal(
        matrix, reference.confusion_matrix(labels, predicted, labels=range(CLASSES))
    )
    assert not matrix[1].any()
    assert not matrix[:, 3].any()


def test_per_class(answers: tuple[Probabilities, Rows]) -> None:
    probabilities, labels = answers
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, CLASSES)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, predicted, labels=range(CLASSES), zero_division=0
    )
    np.testing.assert_allclose(metrics.precisions(matrix), precision, rtol=1e-12)
    np.testing.assert_allclose(metrics.recalls(matrix), recall, rtol=1e-12)
    np.testing.assert_allclose(metrics.f1_scores(matrix), f1, rtol=1e-12)
    assert len(set(recall)) > 3


def test_balanced_accuracy(answers: tuple[Probabilities, Rows]) -> None:
    probabilities, labels = answers
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predicted, CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of the class without images
        expected = reference.balanced_accuracy_score(labels, predicted)
    assert metrics.balanced_accuracy(matrix) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_log_loss(answers: tuple[Probabilities, Rows], kind: type[np.floating]) -> None:
    probabilities = answers[0].astype(kind)
    expected = reference.log_loss(answers[1], answers[0], labels=range(CLASSES))
    assert metrics.log_loss(probabilities, answers[1]) == pytest.approx(expected, rel=1e-6)


def test_log_loss_of_the_surely_wrong_is_finite() -> None:
    loss = metrics.log_loss(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, 0]))
    assert loss == pytest.approx(-np.log(1e-15) / 2)


@pytest.mark.parametrize("total", [1, 2, 10, 97, 1000, 1_000_000])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.5, 0.93, 1.0])
def test_wilson_interval(total: int, rate: float) -> None:
    right = round(rate * total)
    found = metrics.wilson_interval(right, total)
    expected = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= found[0] <= right / total <= found[1] <= 1


# R. G. Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I.
@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(right: int, total: int, low: float, high: float) -> None:
    assert metrics.wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


def calibration_error_by_hand(probabilities: Probabilities, labels: Rows, bins: int) -> float:
    total = 0.0
    for number in range(bins):
        inside = [
            (max(row), int(np.argmax(row)) == label)
            for row, label in zip(probabilities, labels, strict=True)
            if number / bins < max(row) <= (number + 1) / bins
        ]
        if inside:
            stated = sum(value for value, _ in inside) / len(inside)
            right = sum(correct for _, correct in inside) / len(inside)
            total += len(inside) * abs(right - stated)
    return total / len(labels)


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error(answers: tuple[Probabilities, Rows], bins: int) -> None:
    found = metrics.expected_calibration_error(*answers, bins=bins)
    assert found == pytest.approx(calibration_error_by_hand(*answers, bins))
    assert found is not None
    assert found > 0.01


@pytest.mark.parametrize(
    ("stated", "rights", "error"),
    [(1.0, [True, True], 0.0), (1.0, [True, False], 0.5), (0.75, [True, True, True, False], 0.0)],
)
def test_calibration_error_of_simple_answers(
    stated: float, rights: list[bool], error: float
) -> None:
    probabilities = np.tile([stated, 1 - stated], (len(rights), 1))
    labels = np.where(rights, 0, 1)
    found = metrics.expected_calibration_error(probabilities, labels)
    assert found == pytest.approx(error, abs=1e-12)


def test_calibration_bins_are_open_to_the_left() -> None:
    probabilities = np.array([[0.5, 0.5], [0.8, 0.2]])  # (0, 1/2] and (1/2, 1]
    found = metrics.expected_calibration_error(probabilities, np.array([0, 1]), bins=2)
    assert found == pytest.approx((0.5 + 0.8) / 2)


def test_without_images() -> None:
    probabilities, labels = np.empty((0, CLASSES)), np.empty(0, np.int64)
    matrix = metrics.confusion_matrix(labels, labels, CLASSES)
    assert matrix.tolist() == [[0] * CLASSES] * CLASSES
    assert metrics.balanced_accuracy(matrix) is None
    assert metrics.log_loss(probabilities, labels) is None
    assert metrics.expected_calibration_error(probabilities, labels) is None
    for measure in (metrics.recalls, metrics.precisions, metrics.f1_scores):
        assert measure(matrix).tolist() == [0.0] * CLASSES
