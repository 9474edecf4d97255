"""Answers of heads that have not seen the row."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from feature_rows import make_data
from test_linear import fit, reference

from headstart.heads import answer_held_out, logistic
from headstart.heads import linear as module
from headstart.heads.data import measure_scaling
from headstart.heads.folds import assign_folds
from headstart.heads.head import row_blocks
from headstart.heads.logistic import FLOOR


def test_held_out_answers_are_those_of_heads_that_have_not_seen_the_row() -> None:
    """Against scikit-learn on the same folds, scaling and strength."""
    data = make_data([60, 50, 40], 20, noise=2.0)
    rows, answers = answer_held_out(data, seed=0)
    assert rows.tolist() == list(range(150))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    l2, folds = fit(data).details["l2"], assign_folds(data.labels, None, 5, 0)
    scaled = measure_scaling(data.features, FLOOR).apply(data.features)
    for fold in range(5):
        other = reference(data, folds != fold, l2, "none")
        expected = other.predict_proba(scaled[folds == fold])
        np.testing.assert_allclose(answers[folds == fold], expected, atol=0.04)


def test_held_out_answers_where_a_class_is_one_group() -> None:
    data = make_data([20, 20, 4], 10)
    groups = np.where(data.labels == 2, 99, np.arange(44))
    rows, answers = answer_held_out(replace(data, groups=groups, num_classes=4), seed=0)
    assert rows.tolist() == np.flatnonzero(data.labels != 2).tolist()
    assert answers.shape == (40, 4)
    assert (answers[:, 3] == 0).all()


def test_held_out_answers_of_folds_that_the_search_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = make_data([60, 50, 40], 20, noise=2.0)
    expected = answer_held_out(data, seed=0)[1]
    monkeypatch.setattr(module, "_BUDGET", 1)
    rows, answers = answer_held_out(data, seed=0)
    assert len(rows) == 150
    assert fit(data).details["cv_images"] == 30
    np.testing.assert_allclose(answers, expected, atol=0.1)


def test_held_out_answers_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data([60, 50, 20], 30, noise=2.0)
    expected = answer_held_out(data, seed=1)[1]
    monkeypatch.setattr(logistic, "_KEPT_VALUES", 100)
    monkeypatch.setattr(logistic, "row_blocks", partial(row_blocks, values=400))
    np.testing.assert_allclose(answer_held_out(data, seed=1)[1], expected, atol=0.02)
