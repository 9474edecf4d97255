from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feature_rows import make_data, make_rows
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from headstart.errors import HeadstartError
from headstart.heads import HeadFit, TrainingData, fit_head, logistic
from headstart.heads import linear as module
from headstart.heads.data import measure_scaling, row_weights
from headstart.heads.folds import assign_folds
from headstart.heads.head import Floats, row_blocks
from headstart.heads.logistic import FLOOR
from headstart.metrics import log_loss


def fit(data: TrainingData, **options: Any) -> HeadFit:
    return fit_head("linear", data, **options)


def same(one: HeadFit, other: HeadFit) -> bool:
    pairs = zip(one.head.layers, other.head.layers, strict=True)
    return one.details == other.details and all(
        np.array_equal(a, b) for layers in pairs for a, b in zip(*layers, strict=True)
    )


def reference(data: TrainingData, rows: Any, l2: float, class_weight: str) -> Any:
    """The same fit by scikit-learn, on some rows; it takes scaled features."""
    scaled = measure_scaling(data.features, FLOOR).apply(data.features)[rows]
    weights = row_weights(data.labels, data.counts, class_weight)[rows].astype(np.float64)
    labels = data.labels[rows]
    # For two classes scikit-learn has one vector, the difference of ours: half the penalty.
    strength = (2 if len(set(labels)) == 2 else 1) / (weights.sum() * l2)
    model = LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)
    with threadpool_limits(1, "blas"):
        return model.fit(scaled.astype(np.float64), labels, sample_weight=weights)


def reference_probabilities(data: TrainingData, fitted: HeadFit, features: Any) -> Floats:
    details = fitted.details
    model = reference(data, slice(None), details["l2"], details["class_weight"])
    scaling = measure_scaling(data.features, FLOOR)
    return np.asarray(model.predict_proba(scaling.apply(features)), np.float32)


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize(
    ("counts", "width", "noise"),
    [
        ([20, 20, 20], 100, 2.0),
        ([150, 90, 20, 40], 12, 1.5),
        ([60, 20], 15, 1.0),
        ([60, 20], 100, 1.0),
        ([8] * 10, 60, 1.0),
        ([3, 2], 1, 1.0),
    ],
)
def test_the_same_as_scikit_learn(
    counts: list[int], width: int, noise: float, class_weight: str
) -> None:
    data = make_data(counts, width, noise=noise)
    fitted = fit(data, class_weight=class_weight)
    new, _ = make_rows([20] * len(counts), width, noise=noise, seed=5)
    for features, tolerance in ((data.features, 1e-3), (new, 5e-3)):
        expected = reference_probabilities(data, fitted, features)
        found = fitted.head.probabilities(features)
        np.testing.assert_allclose(found, expected, atol=tolerance)
        assert np.abs(found - expected).mean() < 5e-4
    assert fitted.details["class_weight"] == class_weight
    assert fitted.head.kind == "linear"


def test_class_weights_reach_the_loss() -> None:
    data = make_data([300, 20], 3, noise=3.0)
    plain, balanced = (fit(data, class_weight=one).head for one in ("none", "balanced"))
    features, _ = make_rows([200, 200], 3, noise=3.0, seed=1)
    rare = [float(head.probabilities(features)[:, 1].mean()) for head in (plain, balanced)]
    assert rare[0] < 0.2
    assert rare[1] > 0.4


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_the_cross_validated_loss_is_scikit_learns(class_weight: str) -> None:
    data = make_data([90, 60, 40], 10, noise=2.0)
    details = fit(data, seed=3, class_weight=class_weight).details
    folds = assign_folds(data.labels, None, 5, 3)
    scaled = measure_scaling(data.features, FLOOR).apply(data.features)
    weights = row_weights(data.labels, data.counts, class_weight)
    for tried in details["tried"]:
        answers = np.empty((190, 3))
        for fold in range(5):
            model = reference(data, folds != fold, tried["l2"], class_weight)
            answers[folds == fold] = model.predict_proba(scaled[folds == fold])
        losses = -np.log(answers[np.arange(190), data.labels])
        assert tried["cv_log_loss"] == pytest.approx(np.average(losses, weights=weights), rel=5e-3)
        if tried["l2"] == details["l2"]:
            right = (answers.argmax(axis=1) == data.labels).mean()
            assert details["cv_accuracy"] == pytest.approx(right, abs=0.011)
            assert details["cv_images"] == 190


def test_what_was_held_out_gives_the_figures() -> None:
    data = make_data([80, 70, 50], 12, noise=3.0)
    fitted = fit(data, class_weight="none")
    held = fitted.held_out
    assert held is not None
    assert np.array_equal(np.sort(held.rows), np.arange(200))
    assert fitted.details["cv_images"] == 200
    assert fitted.details["cv_accuracy"] == pytest.approx(held.right.mean())
    assert fitted.details["cv_log_loss"] == pytest.approx(held.losses.mean())
    assert (held.losses[held.right] < np.log(data.num_classes)).all()


@pytest.mark.parametrize(("noise", "low", "high"), [(0.3, 0.0001, 0.1), (20.0, 1.0, 10.0)])
def test_the_strength_with_the_lowest_loss(noise: float, low: float, high: float) -> None:
    details = fit(make_data([40, 40, 40], 20, noise=noise)).details
    losses = {one["l2"]: one["cv_log_loss"] for one in details["tried"]}
    assert details["l2"] == min(losses, key=losses.__getitem__)
    assert details["cv_log_loss"] == losses[details["l2"]]
    assert low <= details["l2"] <= high
    assert set(losses) <= set(module.STRENGTHS)


def test_the_validation_part_has_no_say() -> None:
    data = make_data([20, 30], 10, validation=5)
    assert data.validation_features is not None
    assert data.validation_labels is not None
    changed = replace(
        data,
        validation_features=data.validation_features * np.float16(-3),
        validation_labels=1 - data.validation_labels,
    )
    without = replace(data, validation_features=None, validation_labels=None)
    assert same(fit(data), fit(changed))
    assert same(fit(data), fit(without))


def test_copies_do_not_flatter_the_cross_validation() -> None:
    # What the labels say of 30 rows cannot be learnt; of five copies of each row, four tell all.
    features, _ = make_rows([30], 200)
    labels = np.tile(np.array([0, 1]), 15)
    rows = np.repeat(np.arange(30), 5)
    data = TrainingData(features[rows], labels[rows], 2)
    assert fit(data).details["cv_accuracy"] == 1.0
    grouped = fit(replace(data, groups=rows)).details
    assert 0.2 < grouped["cv_accuracy"] < 0.8
    assert grouped["cv_images"] == 150


@pytest.mark.parametrize("groups", [None, np.array([7, 7, 7, 3, 3])])
def test_nothing_to_validate_on(groups: Any) -> None:
    labels = np.arange(5) if groups is None else np.array([0, 0, 0, 1, 1])
    features, _ = make_rows([1] * 5, 40)
    fitted = fit(TrainingData(features, labels, 5, groups=groups))
    assert fitted.details == {
        "class_weight": "none",
        "l2": module.DEFAULT_STRENGTH,
        "cv_accuracy": None,
        "cv_log_loss": None,
        "cv_images": 0,
        "tried": [],
    }
    assert np.array_equal(fitted.head.probabilities(features).argmax(axis=1), labels)


@pytest.mark.parametrize("absent", [[0], [2], [4], [0, 1, 3]])
def test_classes_without_images_get_no_probability(absent: list[int]) -> None:
    counts = [0 if label in absent else 12 for label in range(5)]
    features, labels = make_rows(counts, 30)
    fitted = fit(TrainingData(features, labels, 5))
    far = np.random.default_rng(0).normal(0, 100, (50, 30)).astype(np.float32)
    for rows in (features, far):
        probabilities = fitted.head.probabilities(rows)
        assert probabilities[:, absent].max() < 1e-8
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (fitted.head.probabilities(features).argmax(axis=1) == labels).mean() > 0.9


def test_one_image() -> None:
    features, labels = make_rows([0, 1], 4)
    fitted = fit(TrainingData(features, labels, 2))
    assert fitted.head.probabilities(features)[0, 1] == pytest.approx(1)


def test_constant_features_carry_nothing() -> None:
    data = make_data([20, 20, 20], 8)
    constant = np.tile(np.array([0, 3, 6e4], np.float16), (60, 1))
    both = replace(data, features=np.hstack([data.features, constant]).astype(np.float16))
    fitted = fit(both)
    (weights, _), *_ = fitted.head.layers
    assert np.abs(weights[8:]).max() < 1e-6
    plain = fit(data).head.probabilities(data.features)
    np.testing.assert_allclose(fitted.head.probabilities(both.features), plain, atol=0.05)


def test_nothing_but_constant_features() -> None:
    features = np.full((9, 4), 2.5, np.float16)
    fitted = fit(TrainingData(features, np.repeat([0, 1, 1], 3), 2), class_weight="none")
    np.testing.assert_allclose(fitted.head.probabilities(features)[0], [1 / 3, 2 / 3], atol=2e-3)


def test_single_and_half_precision_give_the_same() -> None:
    half = make_data([20, 20, 20], 30)
    single = replace(half, features=half.features.astype(np.float32))
    assert same(fit(half), fit(single))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_features_that_are_not_finite(bad: float, kind: Any) -> None:
    data = make_data([20, 20], 10, kind=kind)
    data.features[33, 4] = bad
    with pytest.raises(HeadstartError, match=r"Features of 1 images are not finite numbers"):
        fit(data)


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_block_by_block(monkeypatch: pytest.MonkeyPatch, class_weight: str) -> None:
    data = make_data([60, 50, 20], 30, noise=2.0)
    held = fit(data, class_weight=class_weight)
    monkeypatch.setattr(logistic, "_KEPT_VALUES", 100)
    monkeypatch.setattr(logistic, "row_blocks", partial(row_blocks, values=400))  # 13 rows
    blocks = fit(data, class_weight=class_weight)
    assert blocks.details["l2"] == held.details["l2"]
    np.testing.assert_allclose(
        blocks.head.probabilities(data.features), held.head.probabilities(data.features), atol=2e-3
    )


def test_features_in_a_read_only_memory_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data([20, 20], 30)
    np.save(tmp_path / "features.npy", data.features)
    mapped = replace(data, features=np.load(tmp_path / "features.npy", mmap_mode="r"))
    assert same(fit(mapped), fit(data))
    monkeypatch.setattr(logistic, "_KEPT_VALUES", 100)
    assert same(fit(mapped), fit(data))


def test_fewer_folds_where_there_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data([50, 50], 10)
    for budget, images in [(1e9, 100), (2 * 2000, 40), (1, 20)]:
        monkeypatch.setattr(module, "_BUDGET", budget)
        assert fit(data).details["cv_images"] == images


def test_it_generalises() -> None:
    features, labels = make_rows([200] * 5, 40, noise=2.0, seed=9)
    head = fit(make_data([40] * 5, 40, noise=2.0)).head
    probabilities = head.probabilities(features)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.8
    loss = log_loss(probabilities, labels)
    assert loss is not None
    assert loss < 0.5


def test_what_was_held_out_has_its_probabilities() -> None:
    counts = [60, 0, 50, 40]
    features, labels = make_rows(counts, 12, noise=3.0)
    held = fit(TrainingData(features, labels, 4)).held_out
    assert held is not None
    assert held.probabilities is not None
    own = held.probabilities[np.arange(150), labels[held.rows]]
    np.testing.assert_allclose(-np.log(own), held.losses, rtol=1e-5)
    assert np.array_equal(held.probabilities.argmax(axis=1) == labels[held.rows], held.right)
    assert (held.probabilities[:, 1] == 0).all()


def test_heads_of_parts_of_the_images() -> None:
    data = replace(make_data([120, 90, 60], 30, noise=4.0), fractions=(1 / 8, 1 / 2))
    fitted = fit(data)
    learnt, held = fitted.learnt, fitted.held_out
    assert learnt is not None
    assert held is not None
    assert learnt.images == (27, 108, 216)  # of four of five folds
    assert np.array_equal(learnt.rows, held.rows)
    assert np.array_equal(learnt.right[-1], held.right)
    shares = learnt.right.mean(axis=1)
    assert shares[0] + 0.05 < shares[1] < shares[2]
    alone = fit(replace(data, fractions=()))
    assert alone.learnt is None
    assert np.array_equal(alone.head.layers[0][0], fitted.head.layers[0][0])
