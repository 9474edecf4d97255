from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headstart.errors import HeadstartError
from headstart.heads.data import (
    TrainingData,
    choose_class_weight,
    choose_head,
    measure_scaling,
    row_weights,
)
from headstart.heads.head import AnyFloats

LABELS = np.array([0, 0, 1, 2])


def features(rows: int = 4, width: int = 3, kind: Any = np.float16) -> AnyFloats:
    return np.random.default_rng(0).normal(size=(rows, width)).astype(kind)


def test_what_there_is() -> None:
    data = TrainingData(features(), LABELS, 5)
    assert data.width == 3
    assert data.counts.tolist() == [2, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_classes": 1}, r"needs 2 or more classes; received 1\."),
        ({"num_classes": 2}, r"training labels do not fit\. Expected 0 to 1; received 0 to 2\."),
        ({"labels": LABELS - 1}, r"Expected 0 to 2; received -1 to 1\."),
        ({"labels": LABELS[:3]}, r"training features and labels .* received \(\(4, 3\), \(3,\)\)"),
        ({"labels": LABELS[:, None]}, r"received \(\(4, 3\), \(4, 1\)\)"),
        ({"features": features()[0]}, r"received \(\(3,\), \(4,\)\)"),
        ({"features": features(kind=np.float64)}, r"Expected float16 or float32; received float64"),
        ({"features": features(0), "labels": LABELS[:0]}, r"There are no training images\."),
        ({"groups": LABELS[:3]}, r"groups do not fit\. Expected \(4,\); received \(3,\)\."),
        ({"validation_features": features(2)}, r"Received one\. Give both, or neither\."),
        ({"validation_labels": LABELS}, r"Received one\. Give both, or neither\."),
        (
            {"validation_features": features(2), "validation_labels": LABELS},
            r"validation features and labels do not fit",
        ),
        (
            {"validation_features": features(4, 2), "validation_labels": LABELS},
            r"validation features do not fit\. Expected \('m', 3\); received \(4, 2\)\.",
        ),
        (
            {"validation_features": features(4), "validation_labels": LABELS + 1},
            r"validation labels do not fit\. Expected 0 to 2; received 1 to 3\.",
        ),
    ],
)
def test_data_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    values = {"features": features(), "labels": LABELS, "num_classes": 3, **changed}
    with pytest.raises(HeadstartError, match=message):
        TrainingData(**values)


@pytest.mark.parametrize(
    ("counts", "head"),
    [
        ([1, 1], "prototype"),
        ([4, 4, 4], "prototype"),
        ([1, 4, 100], "prototype"),
        ([4, 5], "prototype"),
        ([5, 5], "linear"),
        ([1, 5, 5], "linear"),
        ([0, 0, 5, 5], "linear"),
        ([0, 0], "linear"),
        ([1000, 2000], "linear"),
    ],
)
def test_the_head_by_the_number_of_images(counts: list[int], head: str) -> None:
    assert choose_head(np.array(counts)) == head


@pytest.mark.parametrize(
    ("asked", "counts", "chosen"),
    [
        ("auto", [10, 10], "none"),
        ("auto", [10, 20], "none"),
        ("auto", [10, 21], "balanced"),
        ("auto", [0, 10, 20], "none"),
        ("auto", [0, 0], "none"),
        ("none", [1, 100], "none"),
        ("balanced", [10, 10], "balanced"),
    ],
)
def test_the_class_weight_by_the_counts(asked: str, counts: list[int], chosen: str) -> None:
    assert choose_class_weight(asked, np.array(counts)) == chosen


def test_an_unknown_class_weight() -> None:
    with pytest.raises(HeadstartError, match=r"no class weight 'even'\. Expected one of: auto,"):
        choose_class_weight("even", np.array([1, 2]))


def test_row_weights() -> None:
    labels = np.array([0, 0, 0, 1, 3, 3])
    counts = np.bincount(labels, minlength=5)
    assert row_weights(labels, counts, "none").tolist() == [1.0] * 6
    weights = row_weights(labels, counts, "balanced")
    np.testing.assert_allclose(np.bincount(labels, weights), [2, 2, 0, 2], rtol=1e-6)
    assert weights.dtype == np.float32


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize(("rows", "width"), [(7, 40), (3000, 5), (1, 3)])
@pytest.mark.parametrize("floor", [0.0, 1.0, 100.0])
def test_scaling(rows: int, width: int, floor: float, kind: Any) -> None:
    rng = np.random.default_rng(rows)
    values = (rng.normal(size=(rows, width)) * rng.uniform(1, 9, width) + 50).astype(kind)
    scaling = measure_scaling(values, floor)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(scaling.mean, exact.mean(axis=0), rtol=1e-5)
    variance = exact.var(axis=0)
    wanted = np.sqrt(variance + floor * variance.mean())
    if rows > 1:
        np.testing.assert_allclose(scaling.scale / scaling.scale[0], wanted / wanted[0], rtol=2e-3)
        scaled = scaling.apply(values)
        assert np.mean(scaled**2) == pytest.approx(1, rel=1e-3)
        np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-3)
    else:
        assert scaling.apply(values).tolist() == [[0.0] * width]


def test_scaling_goes_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = features(3000, 700, np.float32)  # more than one block, of 1428 rows
    scaling = measure_scaling(values, 0.0)
    np.testing.assert_allclose(scaling.mean, values.mean(axis=0, dtype=np.float64), atol=1e-6)
    np.testing.assert_allclose(scaling.scale, values.std(axis=0, dtype=np.float64), rtol=1e-5)


def test_constant_features_are_left_alone() -> None:
    values = np.tile(np.array([0, 3, 6e4], np.float16), (50, 1))
    values[:, 0] = np.arange(50)
    scaling = measure_scaling(values, 0.0)
    scaled = scaling.apply(values)
    assert np.abs(scaled[:, 1:]).max() == 0
    assert np.std(scaled[:, 0]) == pytest.approx(np.sqrt(3), rel=1e-4)
    assert np.isfinite(scaling.scale).all()


@pytest.mark.parametrize("floor", [0.0, 1.0])
def test_large_means_do_not_drown_the_spread(floor: float) -> None:
    values = np.random.default_rng(0).normal(20_000, 30, (500, 4)).astype(np.float32)
    scaling = measure_scaling(values, floor)
    np.testing.assert_allclose(scaling.apply(values).std(axis=0), 1, rtol=0.1)


def test_folding_gives_the_layer_on_features_as_they_come() -> None:
    values = features(200, 6, np.float32) * 4 + 30
    scaling = measure_scaling(values, 1.0)
    rng = np.random.default_rng(1)
    weights, bias = rng.normal(size=(6, 3)).astype(np.float32), np.ones(3, np.float32)
    folded, shifted = scaling.fold(weights, bias)
    np.testing.assert_allclose(
        values @ folded + shifted, scaling.apply(values) @ weights + bias, atol=1e-4
    )
    assert folded.dtype == shifted.dtype == np.float32


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [np.inf, -np.inf]])
@pytest.mark.parametrize("first", [2, 600])
def test_features_that_are_not_finite(first: int, bad: list[float], kind: Any) -> None:
    values = features(1000, 3, kind)
    values[first : first + len(bad), 1] = bad
    with pytest.raises(HeadstartError, match=rf"Features of {len(bad)} images are not finite num"):
        measure_scaling(values, 1.0)


def test_features_that_are_too_large() -> None:
    values = features(100, 3, np.float32)
    values[5] = 1e15
    measure_scaling(values, 1.0)
    values[5] = 1e30
    with pytest.raises(HeadstartError, match=r"Features of 1 images .* or above 1e\+15"):
        measure_scaling(values, 1.0)
