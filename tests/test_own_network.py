from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest
from own_models import SIDE, answer, body, keras, layers, pixels, save, seeded, sequential

from headstart.backbones import find_backbone, load_backbone
from headstart.backbones.keras_applications import preprocess
from headstart.errors import HeadstartError


def with_lambda() -> Any:
    return sequential(layers.Lambda(lambda x: x / 2), layers.Flatten(), layers.Dense(2))


def with_unknown_layer() -> Any:
    class Mine(layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    return sequential(Mine(), layers.Flatten(), layers.Dense(2))


def two_inputs() -> Any:
    one, other = body(name="one"), body(name="other")
    both = layers.Add()([one.output, other.output])
    return keras.Model([one.input, other.input], layers.GlobalAveragePooling2D()(both))


def two_outputs() -> Any:
    part = body()
    pooled = layers.GlobalAveragePooling2D()(part.output)
    return keras.Model(part.input, [layers.Dense(2)(pooled), layers.Dense(3)(pooled)])


def of_numbers() -> Any:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])


def of_four_channels() -> Any:
    return keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(3, 3), layers.Flatten()])


def of_tokens() -> Any:
    return sequential(layers.Reshape((64, 6)), layers.Dense(4), layers.GlobalAveragePooling1D())


def without_convolution() -> Any:
    image = keras.Input((8, 8, 3))
    flat = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.Dense(3)(layers.Dense(5)(flat)))


def of_branches() -> Any:
    x = body()
    parts = [layers.Flatten()(x.output), layers.GlobalMaxPooling2D()(x.output)]
    return keras.Model(x.input, layers.Dense(2)(layers.Concatenate()(parts)))


def of_unknown_steps() -> Any:
    x = body()
    vector = keras.ops.sin(layers.GlobalAveragePooling2D()(x.output))
    return keras.Model(x.input, layers.Dense(2)(vector))


KERAS, H5 = "own.keras", "own.h5"


@pytest.mark.parametrize(
    ("make", "name", "text"),
    [
        (with_lambda, KERAS, r"has a Lambda layer, which is a program .* Replace the Lambda by"),
        (with_lambda, H5, r"has a Lambda layer, which is a program .* Replace the Lambda by"),
        (with_unknown_layer, KERAS, r"a layer 'Mine' that Keras does not know here\. Expected"),
        (with_unknown_layer, H5, r"a layer 'Mine' that Keras does not know here\. Expected"),
        (two_inputs, KERAS, r"one input and one output\. .* found 2 inputs and 1 output\. Save"),
        (two_outputs, KERAS, r"one input and one output\. .* found 1 input and 2 outputs\. Save"),
        (of_numbers, KERAS, r"does not take images: its input is \(4,\)\. Expected \(height, w"),
        (of_four_channels, KERAS, r"does not take images: its input is \(8, 8, 4\)"),
        (of_tokens, KERAS, r"No features were found in 'own'.*Expected a feature map"),
        (without_convolution, KERAS, r"Nothing learnt is left of .*Expected layers such as conv"),
        (of_unknown_steps, KERAS, r"No features were found in '.*': 'sin.*' gives \(6,\)"),
        (of_branches, KERAS, r"No features were found in '"),
    ],
)
def test_a_model_that_cannot_be_used(
    make: Callable[[], Any], name: str, text: str, tmp_path: Path
) -> None:
    path = save(make(), tmp_path, name)
    with pytest.raises(HeadstartError, match=text):
        load_backbone(path, preprocessing="unit")


@pytest.mark.parametrize("name", [KERAS, H5, "own.hdf5"])
@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 and then nothing"])
def test_a_file_that_is_no_model(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    text = r"The model file '.*' cannot be opened: .*Expected a whole model .*Save it anew"
    with pytest.raises(HeadstartError, match=text) as caught:
        load_backbone(path)
    assert "File not found" not in str(caught.value)


def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    path = save(sequential(), tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(HeadstartError, match="cannot be opened"):
        load_backbone(path)


def test_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "own.weights.h5"
    sequential().save_weights(path)
    with pytest.raises(HeadstartError, match=r"holds weights without a network\. .*as weights"):
        load_backbone(path)


@pytest.mark.parametrize("name", ["missing.keras", "folder/missing.h5", "resnet50.H5", ".keras"])
def test_a_file_that_is_not_there(name: str) -> None:
    with pytest.raises(HeadstartError, match=r"There is no model file '.*'\. Expected a \.keras"):
        load_backbone(name)


@pytest.mark.parametrize("weights", [None, "other.h5"])
def test_other_weights(weights: str | None) -> None:
    with pytest.raises(HeadstartError, match=r"cannot take other weights .* Leave the weights out"):
        load_backbone("own.keras", weights=weights)


def test_the_name_alone_is_not_enough() -> None:
    with pytest.raises(HeadstartError, match=r"'own_birds' is a model of .* such as birds\.keras"):
        find_backbone("own_birds")


def test_two_maps_have_no_last_one(tmp_path: Path) -> None:
    x = body()
    early = layers.GlobalAveragePooling2D()(x.get_layer("body_relu0").output)
    late = layers.GlobalAveragePooling2D()(x.output)
    model = keras.Model(x.input, layers.Dense(2)(layers.Concatenate()([early, late])))
    backbone = load_backbone(save(seeded(model), tmp_path), preprocessing="unit")
    assert backbone.build((SIDE, SIDE)).output.shape == (None, 10)
    with pytest.raises(HeadstartError, match="has no last feature map: it pools several"):
        backbone.build((SIDE, SIDE), pooling=False)


def one_size() -> Any:
    return sequential(layers.Reshape((32, 2, 6)), layers.Conv2D(5, 1), layers.Flatten())


def pooling_at_the_end() -> Any:
    return sequential(layers.Conv2D(5, 1), layers.MaxPooling2D(4), side=None)


def valid_padding() -> Any:
    return sequential(layers.Conv2D(5, 5), layers.GlobalAveragePooling2D(), side=None)


@pytest.mark.parametrize(
    ("make", "side", "text"),
    [
        (one_size, 48, r"own_own cannot take images of 48 x 48 .* Expected 32 x 32, the size it"),
        (pooling_at_the_end, 12, r"12 x 12 pixels: Computed output size .* Expected larger images"),
        (valid_padding, 12, r"12 x 12 pixels: Computed output size .* Expected larger images"),
        (valid_padding, 0, r"own_own cannot take images of 0 x 0 pixels"),
    ],
)
def test_a_size_that_it_cannot_take(
    make: Callable[[], Any], side: int, text: str, tmp_path: Path
) -> None:
    backbone = load_backbone(save(make(), tmp_path))
    assert backbone.build((SIDE, SIDE)).output.shape == (None, 5)
    with pytest.raises(HeadstartError, match=text):
        backbone.build((side, side))


def test_depthwise_convolutions_of_keras_2(tmp_path: Path) -> None:
    """Their .h5 files say `groups`, which Keras 3 does not know (as Teachable Machine's)."""
    depthwise = layers.DepthwiseConv2D(3, name="depthwise")
    model = sequential(depthwise, layers.GlobalAveragePooling2D(), layers.Dense(2))
    path = save(model, tmp_path, H5)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (layer,) = (
            one for one in config["config"]["layers"] if one["class_name"] == "DepthwiseConv2D"
        )
        layer["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(Exception, match="groups"):
        keras.saving.load_model(path, compile=False)
    built = load_backbone(path).build((SIDE, SIDE))
    maps = model.get_layer("body")(pixels() / np.float32(255), training=False)
    expected = np.asarray(depthwise(maps))
    np.testing.assert_allclose(answer(built, pixels()), expected.mean((1, 2)), rtol=1e-4)


def test_units() -> None:
    image = keras.Input((2, 2, 3), dtype="uint8")
    model = keras.Model(image, preprocess(image, "unit"))
    values = np.asarray(model(np.full((1, 2, 2, 3), 255, np.uint8)))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, 1.0, rtol=1e-6)
