from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from headstart.errors import HeadstartError
from headstart.heads import head as module
from headstart.heads.head import Floats, Head, Layer, head_from_arrays, row_blocks, softmax


def random_layer(inputs: int, outputs: int, seed: int = 0) -> Layer:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(inputs, outputs)).astype(np.float32)
    return weights, rng.normal(size=outputs).astype(np.float32)


ONE = Head("linear", (random_layer(7, 3),))
TWO = Head("mlp", (random_layer(7, 5), random_layer(5, 3, 1)))


def expected_logits(head: Head, features: Floats) -> Floats:
    (weights, bias), *others = head.layers
    values = features @ weights + bias
    for weights, bias in others:
        values = np.maximum(values, np.float32(0)) @ weights + bias
    return values


@pytest.fixture
def features() -> Floats:
    return np.random.default_rng(2).normal(size=(50, 7)).astype(np.float32)


@pytest.mark.parametrize("head", [ONE, TWO], ids=["one layer", "two"])
@pytest.mark.parametrize("values", [1, 30, 4_000_000])
def test_logits_and_probabilities(
    head: Head, features: Floats, monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    monkeypatch.setattr(module, "_BLOCK_VALUES", values)
    logits = expected_logits(head, features)
    np.testing.assert_allclose(head.logits(features), logits, atol=1e-5)
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = head.probabilities(features)
    np.testing.assert_allclose(probabilities, exp / exp.sum(axis=1, keepdims=True), atol=1e-6)
    assert probabilities.dtype == np.float32
    assert (head.width, head.num_classes) == (7, 3)


def test_half_precision_features_are_the_same(features: Floats) -> None:
    half = features.astype(np.float16)
    assert np.array_equal(TWO.logits(half), TWO.logits(half.astype(np.float32)))


def test_no_features() -> None:
    assert TWO.probabilities(np.empty((0, 7), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(7,), (2, 6), (2, 7, 1)])
def test_features_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(HeadstartError, match=r"Expected shape \(n, 7\); received \("):
        ONE.probabilities(np.zeros(shape, np.float32))


@pytest.mark.parametrize("head", [ONE, TWO], ids=["one layer", "two"])
def test_arrays_round_trip(head: Head, features: Floats) -> None:
    arrays = head.arrays()
    assert set(arrays) == {
        f"{at}.{part}" for at in range(len(head.layers)) for part in ("weight", "bias")
    }
    again = head_from_arrays(head.kind, arrays)
    assert again.kind == head.kind
    assert np.array_equal(again.logits(features), head.logits(features))


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_lie_row_by_row(order: str) -> None:
    weights, bias = random_layer(4, 3)
    head = Head("linear", ((np.asarray(weights, order=order), bias),))  # type: ignore[call-overload]
    assert head.arrays()["0.weight"].flags.c_contiguous
    assert np.array_equal(head.arrays()["0.weight"], weights)


@pytest.mark.parametrize(
    ("names", "received"),
    [
        ([], "no layer"),
        (["0.weight"], r"arrays named 0\.weight"),
        (["0.weight", "0.bias", "extra"], r"arrays named 0\.bias, 0\.weight, extra"),
        (["1.weight", "1.bias"], r"arrays named 1\.bias, 1\.weight"),
    ],
)
def test_arrays_that_are_missing_or_unknown(names: list[str], received: str) -> None:
    array = np.zeros((2, 2), np.float32)
    with pytest.raises(HeadstartError, match=received):
        head_from_arrays("linear", dict.fromkeys(names, array))


@pytest.mark.parametrize(
    ("layers", "received"),
    [
        ((), "no layer"),
        ((random_layer(7, 5), random_layer(4, 3)), r"layer 1 with weights \(4, 3\)"),
        (((np.zeros((7, 3), np.float32), np.zeros(2, np.float32)),), r"bias \(2,\)"),
        (((np.zeros(7, np.float32), np.zeros(1, np.float32)),), r"weights \(7,\)"),
        (((np.zeros((), np.float32), np.zeros((), np.float32)),), r"weights \(\)"),
        (((np.zeros((7, 3)), np.zeros(3)),), "of type float64"),
    ],
)
def test_layers_that_do_not_fit(layers: tuple[Layer, ...], received: str) -> None:
    with pytest.raises(HeadstartError, match=rf"do not fit together.*received .*{received}"):
        Head("linear", layers)


def test_softmax_of_scores_of_any_size() -> None:
    found = softmax(np.array([[1e30, 0, -1e30], [-1e30, -1e30, -1e30], [0, 0, 0]], np.float32))
    thirds = [1 / 3, 1 / 3, 1 / 3]
    np.testing.assert_allclose(found, [[1.0, 0.0, 0.0], thirds, thirds], rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "width", "values", "sizes"),
    [
        (5, 2, 4, [2, 2, 1]),
        (4, 2, 4, [2, 2]),
        (3, 9, 4, [1, 1, 1]),
        (3, 0, 2, [2, 1]),
        (0, 2, 4, []),
    ],
)
def test_row_blocks(rows: int, width: int, values: int, sizes: list[int]) -> None:
    blocks = list(row_blocks(rows, width, values))
    assert [one.stop - one.start for one in blocks] == sizes
    assert [row for one in blocks for row in range(rows)[one]] == list(range(rows))


def test_applying_a_head_loads_no_framework() -> None:
    program = "import sys, headstart.heads; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "numpy" in loaded
    assert not loaded & {"tensorflow", "keras", "sklearn", "scipy", "openvino"}
