from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from headstart.backbones import find_backbone, list_backbones, load_backbone
from headstart.cut import call_with, cut_at, cut_before_last, cut_points, flatten
from headstart.errors import HeadstartError
from headstart.frameworks import load_keras

keras: Any = load_keras()

# The smallest network of each family.
SMALLEST = {one.family: one for one in sorted(list_backbones(), key=lambda one: -one.parameters)}
QUICK = {"efficientnet_lite", "mobilenet_v2", "tiny", "vgg"}


def build(name: str) -> tuple[Any, npt.NDArray[np.uint8]]:
    """The backbone without pooling at a small size, and two images."""
    size = max(48, find_backbone(name).least_size)
    model = load_backbone(name, weights=None).build((size, size), pooling=False)
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    return model, images


def small(**inner: Any) -> Any:
    """Input, a, then b beside c, then their sum."""
    x = keras.Input((4,), name="x")
    a = keras.layers.Dense(4, name="a")(x)
    b = keras.layers.Dense(4, name="b")(a)
    c = keras.layers.Dense(4, name="c")(a)
    return keras.Model(x, keras.layers.Add(name="sum")([b, c]), name="small", **inner)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(one.name, marks=[] if family in QUICK else [pytest.mark.slow])
        for family, one in sorted(SMALLEST.items())
    ],
)
def test_the_parts_are_the_whole_in_every_family(name: str) -> None:
    model, images = build(name)
    whole = np.asarray(model(images))
    points = cut_points(model)
    for point in {points[0], points[1], points[len(points) // 2], points[-2], points[-1]}:
        cut = cut_at(model, point.layer)
        inner = cut.prefix(images)
        assert tuple(inner.shape[1:]) == point.shape
        np.testing.assert_array_equal(np.asarray(cut.suffix(inner)), whole)
    for layers in (0, 1, 20, len(model.layers) - 1):
        cut = cut_before_last(model, min(layers, len(model.layers) - 1))
        np.testing.assert_array_equal(np.asarray(cut.suffix(cut.prefix(images))), whole)


@pytest.mark.parametrize("name", ["tiny", "efficientnet_lite0", "mobilenet_v2"])
def test_the_last_layers_are_those_that_keras_counts(name: str) -> None:
    model, _ = build(name)
    cut = cut_before_last(model, 5)
    assert cut.learns == tuple(layer.name for layer in model.layers[-5:])
    inside = [layer.name for layer in cut.suffix.layers]
    assert set(cut.learns) <= set(inside)
    assert cut.point.layers_after >= 5


def test_the_cut_is_the_latest_that_is_possible() -> None:
    model, _ = build("efficientnet_lite0")
    for layers in (1, 4, 7, 12):
        cut = cut_before_last(model, layers)
        later = [one for one in cut_points(model) if one.layers_after < cut.point.layers_after]
        for point in later:
            names = {layer.name for layer in cut_at(model, point.layer).suffix.layers}
            assert not set(cut.learns) <= names


def test_a_branch_is_no_place_to_cut() -> None:
    assert [one.layer for one in cut_points(small())] == ["x", "a", "sum"]
    with pytest.raises(HeadstartError, match=r"behind 'b': another path leads past it.*such as"):
        cut_at(small(), "b")


def test_points_count_layers_and_weights() -> None:
    last = [(one.layers_after, one.parameters_after) for one in cut_points(small())]
    assert last == [(4, 60), (3, 40), (0, 0)]


def test_weights_are_shared() -> None:
    model = small()
    cut = cut_at(model, "a")
    before = np.asarray(model(np.ones((1, 4), np.float32)))
    cut.suffix.get_layer("b").set_weights([np.zeros((4, 4)), np.ones(4)])
    assert not np.array_equal(np.asarray(model(np.ones((1, 4), np.float32))), before)


def test_a_layer_called_on_both_sides_cannot_be_cut_between() -> None:
    x = keras.Input((4,), name="x")
    shared = keras.layers.Dense(4, name="shared")
    middle = keras.layers.Dense(4, name="middle")
    model = keras.Model(x, shared(middle(shared(x))))
    assert [one.layer for one in cut_points(model)] == ["x", "shared"]


def nested(training: bool | None) -> Any:
    inner = keras.Input((4,), name="inner_x")
    normed = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(4, name="in")(inner))
    backbone = keras.Model(inner, keras.layers.ReLU(name="relu")(normed), name="backbone")
    x = keras.Input((4,), name="x")
    features = backbone(x) if training is None else backbone(x, training=training)
    return keras.Model(x, keras.layers.Dense(2, name="head")(features), name="outer")


@pytest.mark.parametrize("training", [None, False])
def test_models_inside_are_unfolded(training: bool | None) -> None:
    model = nested(training)
    values = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    assert [one.layer for one in cut_points(model)] == ["x", "in", "norm", "relu", "head"]
    for mode in (True, False):
        cut = cut_at(model, "in")
        parts = cut.suffix(cut.prefix(values), training=mode)
        np.testing.assert_array_equal(np.asarray(parts), np.asarray(model(values, training=mode)))


def test_training_holds_for_models_inside_models() -> None:
    inner = nested(None)
    x = keras.Input((4,), name="outermost_x")
    model = keras.Model(x, inner(x, training=True), name="outermost")
    values = np.random.default_rng(2).normal(size=(8, 4)).astype(np.float32)
    cut = cut_at(model, "in")
    whole = np.asarray(model(values))
    assert not np.allclose(whole, np.asarray(model(values, training=False)))
    np.testing.assert_array_equal(np.asarray(cut.suffix(cut.prefix(values))), whole)


def test_a_sequential_tutorial_model_is_unfolded() -> None:
    backbone, images = build("tiny")
    model = keras.Sequential(
        [backbone, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, name="answer")]
    )
    whole = np.asarray(model(images))
    cut = cut_before_last(model, 4)
    assert cut.learns[-1] == "answer"
    assert "block3_bn" in {layer.name for layer in cut.suffix.layers}
    np.testing.assert_array_equal(np.asarray(cut.suffix(cut.prefix(images))), whole)
    assert flatten(backbone) is backbone


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        (-1, "The last -1 layers"),
        (5, "from 0 to 4"),
        (1000, "Choose another"),
        ("3", "The last '3' layers of .* Expected a number from 0 to 4"),
        (2.5, "The last 2.5 layers"),
    ],
)
def test_a_number_of_layers_that_cannot_be(layers: Any, text: str) -> None:
    with pytest.raises(HeadstartError, match=text):
        cut_before_last(small(), layers)


def test_an_unknown_layer_is_told_with_near_ones() -> None:
    with pytest.raises(HeadstartError, match=r"no layer 'summ'. Expected .* such as sum"):
        cut_at(small(), "summ")


def two_inputs() -> Any:
    a, b = keras.Input((2,)), keras.Input((2,))
    return keras.Model([a, b], keras.layers.Add()([a, b]), name="two")


def subclassed() -> Any:
    return type("Subclassed", (keras.Model,), {})()  # a model without a graph


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(two_inputs, id="two inputs"),
        pytest.param(subclassed, id="no graph"),
        pytest.param(lambda: keras.Sequential([keras.layers.Dense(2)]), id="not built"),
    ],
)
def test_a_model_that_cannot_be_split(model: Any) -> None:
    with pytest.raises(HeadstartError, match=r"cannot be split\. Expected a functional or built"):
        cut_points(model())


def test_other_layers_in_place_of_some() -> None:
    model, x = small(), keras.Input((4,))
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    same = keras.Model(x, call_with(model, x, {}))
    np.testing.assert_array_equal(same(values), model(values))
    plain = keras.layers.Identity(name="nothing")
    other = keras.Model(x, call_with(model, x, {"b": plain, "c": plain}))
    np.testing.assert_allclose(other(values), 2 * model.get_layer("a")(values), rtol=1e-6)
