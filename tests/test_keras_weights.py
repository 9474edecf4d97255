"""Weights files of the networks of Keras, given by their path."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from headstart.backbones import load_backbone
from headstart.errors import HeadstartError

Array = npt.NDArray[Any]
MEAN = np.array([0.485, 0.456, 0.406], "float32")
DEVIATION = np.array([0.229, 0.224, 0.225], "float32")
SIZE = (75, 75)


@functools.lru_cache(2)
def network(application: str, *, classifier: bool = False) -> Any:
    """A network of Keras with random weights."""
    import keras

    options = {"classes": 7} if classifier else {}
    build = getattr(keras.applications, application)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at another size than 224, MobileNet warns
        return build(include_top=classifier, weights=None, input_shape=(*SIZE, 3), **options)


def write_published(model: Any, path: Path) -> Path:
    """The layout of the published files."""
    import h5py  # type: ignore[import-untyped]
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


def write(model: Any, path: Path) -> Path:
    """As people write them, by Keras' own functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that .h5 is old
        if path.name.endswith(".weights.h5"):
            model.save_weights(path)
        else:
            model.save(path)
    return path


def same(found: list[Array], expected: list[Array]) -> bool:
    """Whether the first weights are the same; a classifier's come after them."""
    return all(np.array_equal(one, two) for one, two in zip(found, expected, strict=False))


@pytest.mark.parametrize(
    ("file", "writer", "classifier"),
    [
        ("mobilenet.h5", write_published, False),
        ("mobilenet.weights.h5", write, False),
        ("mobilenet.hdf5", write_published, True),
        ("mobilenet.h5", write, True),
        ("mobilenet.weights.h5", write, True),
        ("mobilenet.keras", write, True),
    ],
)
def test_files_of_the_network(
    file: str, writer: Callable[[Any, Path], Path], classifier: bool, tmp_path: Path
) -> None:
    source = network("MobileNet", classifier=classifier)
    path = writer(source, tmp_path / file)
    backbone = load_backbone("mobilenet", weights=str(path))
    model = backbone.build(SIZE)
    assert len(model.get_weights()) == 135
    assert same(model.get_weights(), source.get_weights())
    assert [layer.name for layer in model.layers][:3] == ["image", "preprocess", "conv1"]
    assert model.trainable_variables == []
    assert backbone.weights == path


@pytest.mark.slow
@pytest.mark.parametrize("file", ["network.h5", "network.weights.h5", "network.keras"])
@pytest.mark.parametrize(
    ("name", "application"),
    [
        ("inception_v3", "InceptionV3"),
        ("convnext_tiny", "ConvNeXtTiny"),
        ("efficientnet_b0", "EfficientNetB0"),
        ("resnet50", "ResNet50"),
        ("densenet121", "DenseNet121"),
        ("xception", "Xception"),
        ("nasnet_mobile", "NASNetMobile"),
    ],
)
def test_files_with_classifier(name: str, application: str, file: str, tmp_path: Path) -> None:
    """Many layers have no name of their own: Keras numbers them through the whole process."""
    source = network(application, classifier=True)
    model = load_backbone(name, weights=write(source, tmp_path / file)).build(SIZE)
    assert same(model.get_weights(), source.get_weights())


FIT = r"The weights in '.*' do not fit {name}: .+\. Expected a Keras weights file .* such as .*\.h5"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("vgg16", "VGG19"),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in (
                ("vgg19", "VGG16"),
                ("mobilenet", "MobileNetV2"),
                ("mobilenet_v2", "MobileNet"),
                ("resnet50", "ResNet101"),
                ("resnet101", "ResNet50"),
                ("resnet50_v2", "ResNet50"),
                ("efficientnet_b0", "EfficientNetB1"),
                ("efficientnet_v2_b0", "EfficientNetV2B1"),
                ("densenet121", "DenseNet169"),
                ("convnext_tiny", "ConvNeXtSmall"),
                ("mobilenet_v3_small", "MobileNetV3Large"),
            )
        ),
    ],
)
@pytest.mark.parametrize("file", ["other.h5", "other.weights.h5", "other.keras"])
def test_files_of_another_network(name: str, other: str, file: str, tmp_path: Path) -> None:
    """Some are deeper, and have all layers of the smaller one by name and by shape."""
    path = write(network(other), tmp_path / file)
    with pytest.raises(HeadstartError, match=FIT.format(name=name)):
        load_backbone(name, weights=path).build(SIZE)


@pytest.mark.parametrize("file", ["some.h5", "some.weights.h5", "some.keras", "some.hdf5"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x89HDF\r\n\x1a\n" + bytes(99)])
def test_other_files(file: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(HeadstartError, match=FIT.format(name="vgg16")):
        load_backbone("vgg16", weights=tmp_path / file).build((32, 32))


def two_layers(*, input_tensor: Any, **_: object) -> Any:
    """In place of VGG16."""
    import keras

    x = keras.layers.Conv2D(64, 3, name="conv_0")(input_tensor)
    x = keras.layers.Conv2D(64, 3, name="conv_1")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x, name="two_layers")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small network, which is built in place of VGG16 too."""
    monkeypatch.setattr("keras.applications.VGG16", two_layers)
    return load_backbone("vgg16", weights=None).build((32, 32), pooling=False)


@pytest.mark.parametrize("file", ["some.h5", "some.weights.h5", "some.keras"])
def test_cut_short(file: str, small: Any, tmp_path: Path) -> None:
    path = write(small, tmp_path / file)
    backbone = load_backbone("vgg16", weights=path)
    assert same(backbone.build((32, 32)).get_weights(), small.get_weights())
    path.write_bytes(path.read_bytes()[:-60_000])
    with pytest.raises(HeadstartError, match=FIT.format(name="vgg16")):
        backbone.build((32, 32))


@pytest.mark.parametrize(
    ("file", "missing"),
    [("some.h5", "model_weights/conv_1"), ("some.weights.h5", "layers/conv2d_1")],
)
def test_layer_missing(file: str, missing: str, small: Any, tmp_path: Path) -> None:
    import h5py

    path = write(small, tmp_path / file)
    with h5py.File(path, "a") as held:
        del held[missing]
    with pytest.raises(HeadstartError, match=FIT.format(name="vgg16")):
        load_backbone("vgg16", weights=path).build((32, 32))


def test_too_few_layers(small: Any, tmp_path: Path) -> None:
    import keras

    first = keras.Model(small.input, small.get_layer("conv_0").output)
    path = write_published(first, tmp_path / "some.h5")
    with pytest.raises(HeadstartError, match="it has 1 layers with weights instead of 2"):
        load_backbone("vgg16", weights=path).build((32, 32))


def test_new_format_under_the_old_name(small: Any, tmp_path: Path) -> None:
    write(small, tmp_path / "some.weights.h5").rename(tmp_path / "some.h5")
    with pytest.raises(HeadstartError, match="it has 0 layers with weights instead of 2"):
        load_backbone("vgg16", weights=tmp_path / "some.h5").build((32, 32))


def test_keras_leaves_something_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It only warns of what keeps its random weights."""

    def load(*_: object) -> None:
        warnings.warn("Skipping nested container at 'layers'", stacklevel=2)

    monkeypatch.setattr("keras.Model.load_weights", load)
    (tmp_path / "some.keras").touch()
    with pytest.raises(HeadstartError, match="do not fit vgg16: Skipping nested container"):
        load_backbone("vgg16", weights=tmp_path / "some.keras").build((32, 32))


def small_efficientnet(
    *, input_tensor: Any, include_top: bool, weights: None, input_shape: tuple[int, int, int]
) -> Any:
    """In place of EfficientNetB0: how it begins."""
    import keras

    assert (include_top, weights) == (False, None)
    x = keras.layers.Rescaling(1 / 255)(input_tensor)
    x = keras.layers.Normalization(axis=-1)(x)
    x = keras.layers.Conv2D(3, 1, name="conv")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x, name="small")


@pytest.mark.parametrize(
    ("mean", "variance", "expected"),
    [
        (MEAN, DEVIATION, (MEAN, DEVIATION)),  # the published files
        (MEAN, DEVIATION**2, (MEAN, DEVIATION)),  # a file saved from a network built here
        (MEAN * 0, DEVIATION * 0 + 1, (0, 1)),  # trained without normalisation
        (MEAN * 0 + 0.5, DEVIATION * 0 + 0.25, (0.5, 0.5)),
    ],
)
def test_normalisation_of_efficientnet(
    mean: Array,
    variance: Array,
    expected: tuple[Array, Array],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it makes of pixels is that of its training, (x / 255 - mean) / deviation."""
    monkeypatch.setattr("keras.applications.EfficientNetB0", small_efficientnet)
    model = load_backbone("efficientnet_b0", weights=None).build((32, 32), pooling=False)
    held = [np.eye(3, dtype="float32").reshape(1, 1, 3, 3), np.zeros(3, "float32")]
    model.set_weights([mean, variance, np.array(9), *held])
    model.get_layer("conv").name = "other"
    path = write_published(model, tmp_path / "efficientnetb0_notop.h5")
    built = load_backbone("efficientnet_b0", weights=path).build((32, 32), pooling=False)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    wanted = (pixels / 255 - expected[0]) / expected[1]
    assert built.get_layer("conv").name == "conv"
    np.testing.assert_allclose(np.asarray(built(pixels)), wanted, atol=1e-5)


def test_normalisation_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setattr("keras.applications.EfficientNetB0", small_efficientnet)
    model = load_backbone("efficientnet_b0", weights=None).build((32, 32), pooling=False)
    (layer,) = (one for one in model.layers if isinstance(one, keras.layers.Normalization))
    normalised = layer(np.full((1, 1, 1, 3), 0.5, "float32"))
    np.testing.assert_allclose(np.ravel(normalised), (0.5 - MEAN) / DEVIATION, atol=1e-5)
