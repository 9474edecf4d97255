"""Maps of a class: exact where they can be, else as a gradient tape or hiding parts says."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tiny_network import IMAGES, SIZE, tiny
from tiny_tuning import random_head

from headstart.classifier import Classifier, PixelChoices
from headstart.cut import cut_at
from headstart.errors import HeadstartError
from headstart.explanation.maps import (
    CELLS,
    METHODS,
    ActivationMap,
    activation_map,
    feature_maps,
    grad_cam,
)
from headstart.frameworks import load_keras
from headstart.heads.head import Head
from headstart.prefix import Prefix, tuned_prefix
from headstart.suffix import Suffix, read_weights

CLASSES = ("a", "b", "c")
Floats = npt.NDArray[np.float32]


@functools.cache
def network(engine: str, layer: str = "") -> Prefix:
    """`tiny`, all of it frozen, or fine-tuned behind a layer: with other weights there."""
    whole = tiny(engine)
    if not layer:
        return whole
    cut = cut_at(whole.model(), layer)
    weights = {name: value * np.float32(1.1) for name, value in read_weights(cut.suffix).items()}
    shape = tuple(int(side) for side in cut.suffix.inputs[0].shape[1:])
    frozen = replace(whole, identity=replace(whole.identity, cut=layer), shape=shape)
    suffix = Suffix(layer, shape, 32, weights, whole=layer == "image", cut=cut)
    return tuned_prefix(frozen, suffix)


def classifier(engine: str = "openvino", layer: str = "", kind: str = "linear") -> Classifier:
    head = random_head("mlp" if kind == "mlp" else "linear")
    return Classifier(CLASSES, network(engine, layer), replace(head, kind=kind), PixelChoices())


@pytest.mark.parametrize("kind", ["linear", "prototype"])
@pytest.mark.parametrize("layer", ["", "block2_relu", "block3_relu", "image"])
@pytest.mark.parametrize("engine", ["openvino", "keras"])
def test_the_mean_of_the_map_and_the_bias_are_the_logit(engine: str, layer: str, kind: str) -> None:
    made = classifier(engine, layer, kind)
    for label in range(3):
        found = activation_map(made, IMAGES[0], label)
        logit = found.values.mean() + made.head.layers[0][1][label]
        answer = made.head.logits(made.embed(IMAGES[0]))[0, label]
        assert found.method == "cam"
        assert found.values.shape == (3, 5)
        assert logit == pytest.approx(answer, abs=2e-3)  # features are kept in float16


def test_the_map_is_exact_but_for_float32() -> None:
    made = classifier()
    features = np.stack(list(made.prefix.open().stream(IMAGES[:1])))  # not rounded
    logits = made.head.logits(features)[0]
    for label in range(3):
        values = activation_map(made, IMAGES[0], label).values
        assert values.mean() + made.head.layers[0][1][label] == pytest.approx(logits[label], 1e-5)


@pytest.mark.parametrize("layer", ["", "block2_relu"])
def test_the_engines_agree(layer: str) -> None:
    one, other = (activation_map(classifier(name, layer), IMAGES[1], 2) for name in ENGINES)
    np.testing.assert_allclose(one.values, other.values, atol=2e-4)
    assert one.values.std() > 0.01


ENGINES = ("openvino", "keras")


def test_the_trained_part_is_built_anew_from_a_bundle() -> None:
    """Where OpenVINO is missing a bundle has the weights alone."""
    made = classifier("keras", "block2_relu")
    expected = activation_map(made, IMAGES[1], 2)
    assert made.prefix.suffix is not None
    bare = replace(made.prefix, suffix=replace(made.prefix.suffix, cut=None))
    again = Classifier(CLASSES, bare, made.head, PixelChoices())
    np.testing.assert_allclose(
        activation_map(again, IMAGES[1], 2).values, expected.values, atol=1e-5
    )


def taped(model: Any, head: Head, pooling: str, image: Any, label: int) -> Floats:
    """Grad-CAM as the paper has it: TensorFlow differentiates the logit by the feature map."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        values = model(image[None], training=False)
        tape.watch(values)
        pool = tf.reduce_mean if pooling == "mean" else tf.reduce_max
        x = pool(values, axis=(1, 2))
        for number, (weights, bias) in enumerate(head.layers):
            x = (tf.nn.relu(x) if number else x) @ weights + bias
        logit = x[0, label]
    weights = tf.reduce_mean(tape.gradient(logit, values), axis=(1, 2))
    return np.asarray(tf.nn.relu(tf.tensordot(values[0], weights[0], 1)))


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_grad_cam_is_what_a_gradient_tape_gives(kind: str, pooling: str) -> None:
    model = before_pooling(network("keras").model())
    head = random_head(kind, seed=5)
    for image, label in zip(IMAGES, (0, 1, 2, 0, 1), strict=True):
        values = np.asarray(model(image[None]))[0]
        features = values.mean((0, 1)) if pooling == "mean" else values.max((0, 1))
        found = grad_cam(values, head, features, label)
        np.testing.assert_allclose(
            found, taped(model, head, pooling, image, label), rtol=1e-4, atol=1e-6
        )


def before_pooling(model: Any) -> Any:
    """A Keras model without its last layer."""
    layer, node, _ = model.outputs[0]._keras_history
    (tensor,) = layer._inbound_nodes[node].input_tensors
    return load_keras().Model(model.inputs[0], tensor)


@pytest.mark.parametrize("layer", ["", "block2_relu"])
def test_an_mlp_gets_grad_cam(layer: str) -> None:
    made, prefix = classifier(layer=layer, kind="mlp"), network("keras", layer)
    found = activation_map(made, IMAGES[2], 1)
    if prefix.suffix is None:
        model = before_pooling(prefix.model())
    else:
        model = load_keras().Sequential([prefix.model(), before_pooling(prefix.suffix.model())])
    expected = taped(model, made.head, "mean", IMAGES[2], 1)
    assert found.method == "grad-cam"
    np.testing.assert_allclose(found.values, expected, rtol=2e-3, atol=1e-5)


def lit(rng: np.random.Generator, corner: tuple[int, int] | None) -> Any:
    """A dark image, with a bright square in a corner or without."""
    image = rng.integers(0, 60, (*SIZE, 3), dtype=np.uint8)
    if corner is not None:
        down, across = 16 * corner[0], 32 * corner[1]
        image[down : down + 8, across : across + 8] = 255
    return image


@functools.cache
def light_finder() -> Classifier:
    """Tells dark images from those with a bright square in any corner."""
    from headstart.heads import TrainingData, fit_head

    rng = np.random.default_rng(0)
    corners = [None, (0, 0), None, (0, 1), None, (1, 0), None, (1, 1)] * 5
    features = classifier().embed([lit(rng, corner) for corner in corners])
    labels = np.array([corner is not None for corner in corners], np.int64)
    fitted = fit_head("linear", TrainingData(features.astype(np.float16), labels, 2))
    return Classifier(("dark", "lit"), network("openvino"), fitted.head, PixelChoices())


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_what_decides_is_found(method: str, corner: tuple[int, int]) -> None:
    image = lit(np.random.default_rng(8), corner)
    found = activation_map(light_finder(), image, 1, method)
    heat = found.heat()
    rows, columns = heat.shape
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert (row * 2 // rows, column * 2 // columns) == corner
    assert heat.min() == 0
    assert heat.max() == 1
    assert found.method == (method if method != "auto" else "cam")


def test_occlusion_says_by_how_much_the_answer_falls() -> None:
    image = lit(np.random.default_rng(8), (0, 0))
    found = activation_map(light_finder(), image, 1, "occlusion").values
    assert found.shape == (CELLS, CELLS)
    far = found[CELLS // 2 :, CELLS // 2 :]
    assert found[0, 0] > 2
    assert found[0, 0] > 2 * far.max()
    against = activation_map(light_finder(), image, 0, "occlusion").values
    assert against[0, 0] == 0  # to hide the light speaks for the dark


@pytest.mark.parametrize(
    ("kind", "method", "message"),
    [
        ("mlp", "cam", r"'cam' does not suit this bundle: the head is an mlp, .*'grad-cam'"),
        ("linear", "lime", r"no method 'lime'\. Expected one of: auto, cam, grad-cam, occlusion"),
    ],
)
def test_a_method_that_cannot_be(kind: str, method: str, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        activation_map(classifier(kind=kind), IMAGES[0], 0, method)


@pytest.mark.parametrize("method", ["cam", "grad-cam"])
def test_a_network_without_a_map_is_left_to_occlusion(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart.explanation.maps.open_feature_maps", lambda prefix: None)
    made = classifier()
    assert activation_map(made, IMAGES[0], 0).method == "occlusion"
    with pytest.raises(HeadstartError, match=r"tiny come from no feature map.*'occlusion'"):
        activation_map(made, IMAGES[0], 0, method)


def test_of_a_maximum_there_is_no_exact_map() -> None:
    made = classifier()
    maps = feature_maps(made)
    assert maps is not None
    maps.pooling = "max"
    found = activation_map(made, IMAGES[0], 0)
    assert found.method == "grad-cam"
    with pytest.raises(HeadstartError, match=r"tiny takes the maximum .*'grad-cam'"):
        activation_map(made, IMAGES[0], 0, "cam")


@pytest.mark.parametrize(
    ("values", "heat"),
    [
        ([[-1, 0], [1, 3]], [[0, 0.25], [0.5, 1]]),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]]),
        ([[7, 7], [7, 7]], [[0, 0], [0, 0]]),
        ([[-5e-9, 5e-9]], [[0, 0]]),
    ],
)
def test_heat(values: list[list[float]], heat: list[list[float]]) -> None:
    made = ActivationMap("cam", np.array(values, np.float32))
    assert made.heat().tolist() == heat
