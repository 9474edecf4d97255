from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_models import SIDE, answer, body, keras, layers, pixels, save, seeded, tutorial

from headstart import progress
from headstart.backbones import list_backbones, load_backbone
from headstart.backbones.own_pixels import detect
from headstart.cut import flatten
from headstart.errors import HeadstartError

SMALLEST = {one.family: one for one in sorted(list_backbones(), key=lambda one: -one.parameters)}
# EfficientNet and ConvNeXt always scale by themselves, MobileNetV3 where it is not told otherwise.
FAMILIES = [one for one in SMALLEST.values() if one.source == "keras"]


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(one, id=one.name, marks=[] if one.family == "vgg" else [pytest.mark.slow])
        for one in FAMILIES
    ],
)
def test_networks_of_keras_are_recognised(info: Any) -> None:
    function = getattr(keras.applications, info.application)
    side = max(64, info.least_size)
    model = function(weights=None, input_shape=(side, side, 3), include_top=False)
    assert detect(flatten(model)) == (info.preprocessing, info.preprocessing != "inside")


def test_mobilenet_v2_is_recognised_in_a_model_of_the_guide(tmp_path: Path) -> None:
    base = keras.applications.MobileNetV2(
        weights=None, input_shape=(SIDE, SIDE, 3), alpha=0.35, include_top=False
    )
    image = keras.Input((SIDE, SIDE, 3))
    pooled = layers.GlobalAveragePooling2D(name="features_here")(base(image, training=False))
    model = keras.Model(image, layers.Dense(3)(layers.Dropout(0.2)(pooled)))
    remarks: list[str] = []
    with progress.listen(lambda event: remarks.append(event.message)):
        backbone = load_backbone(save(model, tmp_path))
    assert backbone.info.preprocessing == "tf"
    assert any(
        one.startswith("own_own: left out dropout") and "by the names of its layers" in one
        for one in remarks
    )
    part = keras.Model(model.input, pooled)
    expected = answer(part, pixels().astype(np.float32) / 127.5 - 1)
    features = answer(backbone.build((SIDE, SIDE)), pixels())
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-6)
    assert features.std() > 0


def start(first: Any, dtype: str = "float32") -> Any:
    """A flat model that begins with what `first` makes of its input."""
    image = keras.Input((SIDE, SIDE, 3), dtype=dtype)
    return flatten(keras.Model(image, layers.Conv2D(2, 3)(first(image))))


def normalised(mean: float, variance: float) -> Any:
    return layers.Normalization(mean=[mean] * 3, variance=[variance] * 3)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (layers.Rescaling(1 / 255), "inside"),
        (layers.Rescaling(1 / 127.5, -1), "inside"),
        (layers.Rescaling([0.017] * 3, [-2.1, -2.0, -1.8]), "inside"),
        (layers.Rescaling(1.0, -120.0), "inside"),
        (layers.Rescaling(2.0, -1.0), ""),  # of values from 0 to 1
        (layers.Rescaling(1.0), ""),
        (normalised(120.0, 3600.0), "inside"),
        (normalised(0.48, 0.05), ""),
        (normalised(0.0, 1.0), ""),
        (lambda x: x / 255, "inside"),
        (lambda x: x * 0.0039, "inside"),
        (lambda x: x * 2 - 1, ""),
        (lambda x: layers.RandomFlip()(layers.Resizing(16, 16)(x)) / 255, "inside"),
        (keras.applications.mobilenet_v2.preprocess_input, "inside"),
        (keras.applications.vgg16.preprocess_input, "inside"),
        (lambda x: x, ""),
    ],
)
def test_first_layers(first: Any, expected: str) -> None:
    assert detect(start(first)) == (expected, False)


def test_whole_numbers_are_pixels() -> None:
    assert detect(start(lambda x: keras.ops.cast(x, "float32"), "uint8")) == ("inside", False)


def test_own_scaling_speaks_louder_than_names() -> None:
    base = keras.applications.VGG16(weights=None, input_shape=(SIDE, SIDE, 3), include_top=False)
    image = keras.Input((SIDE, SIDE, 3))
    for scale, expected in ((1 / 255, "inside"), (2.0, "")):
        model = keras.Model(image, base(layers.Rescaling(scale)(image)))
        assert detect(flatten(model)) == (expected, False)


def plain(channels: int = 3) -> Any:
    """A model that does not tell how it wants its pixels."""
    part = body(channels)
    return seeded(keras.Model(part.input, layers.GlobalAveragePooling2D()(part.output)))


RANGES = {
    "inside": lambda x: x,
    "tf": lambda x: x / 127.5 - 1,
    "unit": lambda x: x / 255,
    "caffe": keras.applications.vgg16.preprocess_input,
    "torch": keras.applications.densenet.preprocess_input,
}


@pytest.mark.parametrize("kind", RANGES)
def test_preprocessing_that_is_asked_for(kind: str, tmp_path: Path) -> None:
    model = plain()
    backbone = load_backbone(save(model, tmp_path), preprocessing=kind)
    assert backbone.info.preprocessing == kind
    assert backbone.weights_digest.endswith(f"-{kind}")  # or its features would be taken for others
    expected = answer(model, np.array(RANGES[kind](pixels().astype(np.float32))))
    features = answer(backbone.build((SIDE, SIDE)), pixels())
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_what_is_asked_for_goes_before_what_is_found(tmp_path: Path) -> None:
    path = save(tutorial(), tmp_path)
    found, same, other = (
        load_backbone(path, preprocessing=kind) for kind in ("auto", "inside", "unit")
    )
    assert found == same
    assert other.info.preprocessing == "unit"
    assert other.weights_digest == f"{found.weights_digest}-unit"


def test_preprocessing_that_is_not_known(tmp_path: Path) -> None:
    text = (
        r"does not tell how it wants its pixels\. Expected one of: inside, tf, unit, caffe, torch"
    )
    with pytest.raises(HeadstartError, match=text):
        load_backbone(save(plain(), tmp_path))


def test_grey_has_no_colours_to_centre(tmp_path: Path) -> None:
    path = save(plain(channels=1), tmp_path)
    assert load_backbone(path, preprocessing="tf").info.features == 6
    text = r"cannot be 'caffe'\. Expected one of: inside, tf, unit \("
    with pytest.raises(HeadstartError, match=text):
        load_backbone(path, preprocessing="caffe")


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        (
            "tiny",
            "tf",
            r"preprocessing of tiny cannot be 'tf'\. Expected 'auto': it belongs",
        ),
        ("own.keras", "half", r"cannot be 'half'\. Expected one of: auto, inside, tf, unit"),
        ("tiny", "half", r"cannot be 'half'"),
    ],
)
def test_preprocessing_that_does_not_exist(name: str, kind: str, text: str) -> None:
    with pytest.raises(HeadstartError, match=text):
        load_backbone(name, preprocessing=kind)
