"""Probably wrong labels, against cleanlab, and planted ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from headstart.checkup.labels import confident_classes, doubts

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def answers(count: int, classes: int, wrong: float, seed: int) -> tuple[Floats, Rows, Rows]:
    """Probabilities that are mostly right, the labels with some wrong ones, and the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, count)
    logits = rng.normal(0, 1, (count, classes))
    logits[np.arange(count), true] += 3
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = true.copy()
    planted = rng.random(count) < wrong
    labels[planted] = (labels[planted] + rng.integers(1, classes, planted.sum())) % classes
    return values, labels, true


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("count", "classes"), [(300, 2), (500, 5), (800, 20)])
def test_it_agrees_with_cleanlab(count: int, classes: int, seed: int) -> None:
    values, labels, _ = answers(count, classes, 0.1, seed)
    expected = find_label_issues(
        labels, values, filter_by="confident_learning", return_indices_ranked_by="normalized_margin"
    )
    found = doubts(values, labels)
    assert set(found.flagged) == set(expected)
    quality = get_label_quality_scores(labels, values, method="normalized_margin")
    np.testing.assert_allclose((found.margin + 1) / 2, quality, atol=1e-9)


def test_planted_labels_come_first() -> None:
    values, labels, true = answers(2000, 6, 0.05, 0)
    wrong = set(np.flatnonzero(labels != true))
    found = doubts(values, labels)
    first = set(found.ranking[: len(labels) // 10])
    assert len(first & wrong) >= 0.9 * len(wrong)
    assert len(found.flagged)
    assert found.flagged[0] == found.ranking[0]
    right = [row for row in found.flagged if found.suggested[row] == true[row]]
    assert len(right) >= 0.8 * len(found.flagged)


def test_a_sure_head_that_agrees_flags_nothing() -> None:
    values = np.full((20, 2), 0.02)
    labels = np.arange(20) % 2
    values[np.arange(20), labels] = 0.98
    found = doubts(values, labels)
    assert not len(found.flagged)
    assert sorted(found.ranking) == list(range(20))


def test_a_class_without_images_is_nobodys() -> None:
    values = np.array([[0.1, 0.0, 0.9], [0.9, 0.0, 0.1], [0.2, 0.7, 0.1]])
    labels = np.array([0, 0, 2])
    assert 1 not in confident_classes(values, labels)
    assert doubts(values, labels).suggested.tolist() == [2, 2, 1]
