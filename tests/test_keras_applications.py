"""The catalogue and the networks, held against `keras.applications` itself."""

from __future__ import annotations

import inspect
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from headstart.backbones import list_backbones, load_backbone
from headstart.backbones.catalogue import BackboneInfo
from headstart.errors import HeadstartError

Array = npt.NDArray[Any]
KERAS = [info for info in list_backbones() if info.source == "keras"]
QUICK = {"vgg16", "mobilenet", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"}
BY_SPEED = [
    pytest.param(info, id=info.name, marks=() if info.name in QUICK else pytest.mark.slow)
    for info in KERAS
]
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def application(info: BackboneInfo) -> Any:
    import keras

    return getattr(keras.applications, info.application)


def module_of(info: BackboneInfo) -> Any:
    """The module of the family, which has its `preprocess_input`."""
    return sys.modules[application(info).__module__]


def pixels(size: tuple[int, int], count: int = 2) -> npt.NDArray[np.uint8]:
    """Images of coarse patches, which differ as photos do."""
    patches = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    rows, columns = (np.arange(length) * 6 // length for length in size)
    return patches[:, rows][:, :, columns]


def classification_networks() -> set[str]:
    """The functions anywhere in `keras.applications` that build a classifier."""
    import keras

    modules = [keras.applications]
    for found in pkgutil.iter_modules(keras.applications.__path__):
        modules.append(__import__(f"keras.applications.{found.name}", fromlist=[found.name]))
    return {
        name
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if {"include_top", "classes"} <= set(inspect.signature(function).parameters)
    }


def test_all_of_keras_are_in_the_catalogue() -> None:
    found = classification_networks()
    assert len(found) > 35
    assert found == {info.application for info in KERAS}


def test_every_family_has_its_preprocessing() -> None:
    import keras

    modules = {found.name for found in pkgutil.iter_modules(keras.applications.__path__)}
    families = {module_of(info).__name__.rsplit(".", 1)[1] for info in KERAS}
    assert families <= modules
    assert {module for module in modules if module not in families} <= {
        "imagenet_utils",
        "resnet50",
    }


def only_preprocessing(**options: Any) -> SimpleNamespace:
    """In place of a function of Keras: a network without any layers."""
    return SimpleNamespace(name="none", output=options["input_tensor"])


@pytest.mark.parametrize("info", KERAS, ids=lambda info: info.name)
def test_preprocessing_is_that_of_the_family(
    info: BackboneInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "headstart.backbones.keras_applications._set_normalisation"
    monkeypatch.setattr(own, lambda *_, **__: None)
    family = module_of(info)
    monkeypatch.setattr(f"keras.applications.{info.application}", only_preprocessing)
    images = pixels((75, 80))
    found = load_backbone(info.name, weights=None).build((75, 80), pooling=False)(images)
    expected = family.preprocess_input(images.astype("float32"))
    last_bit = {"tf": 1.2e-7, "torch": 5e-7}.get(info.preprocessing, 0.0)
    assert np.asarray(found).dtype == np.float32
    np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=last_bit)


class AskedError(Exception):
    """What Keras asked for."""


def ask(*_: object, **named: object) -> None:
    raise AskedError(named)


@pytest.mark.parametrize(
    "info", [info for info in KERAS if info.family != "mobilenet_v3"], ids=lambda info: info.name
)
def test_sizes(info: BackboneInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.src.applications.imagenet_utils.obtain_input_shape", ask)
    with pytest.raises(AskedError) as caught:
        application(info)(weights=None)
    sizes = caught.value.args[0]
    assert (info.image_size, info.least_size) == (sizes["default_size"], sizes["min_size"])


@pytest.fixture(scope="module", params=BY_SPEED)
def network(request: pytest.FixtureRequest) -> Iterator[tuple[BackboneInfo, Any]]:
    """A network at its smallest size, with random weights and statistics."""
    import keras

    info: BackboneInfo = request.param
    model = load_backbone(info.name, weights=None).build((info.least_size, info.least_size + 3))
    stir(model)
    yield info, model
    keras.backend.clear_session()


def stir(model: Any) -> None:
    """Make its answer depend on the image, as that of a trained network does.

    With random weights alone the image is lost on the way through many of them. Channels that
    hardly vary are not made large, for with them grows what is lost in rounding.
    """
    import keras

    norms = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable, layer.momentum = True, 0.0
    model(pixels(model.input.shape[1:3], 32), training=True)
    for layer in norms:
        layer.trainable, variance = False, np.asarray(layer.moving_variance)
        layer.moving_variance.assign(np.maximum(variance, 0.3 * variance.mean()))
    for layer in model.layers:
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(np.full(layer.gamma.shape, 0.3))


def write_published(model: Any, path: Path) -> Path:
    """Write the weights in the layout of the published files, EfficientNet's deviation included."""
    import h5py  # type: ignore[import-untyped]
    from keras.src.legacy.saving import legacy_h5_format

    def square_root(name: str, data: Any) -> None:
        if name.endswith("/variance") and data.shape == (3,):
            data[...] = np.sqrt(data[...])

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
        if "efficientnetb" in path.name:
            file.visititems(square_root)
    return path


def as_keras_does(info: BackboneInfo, size: tuple[int, int], get: Callable[..., Any]) -> Any:
    """The network of Keras with `weights="imagenet"`, which come from `get`."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at another size than 224, MobileNet warns
        patch.setattr("keras.src.utils.file_utils.get_file", get)
        return application(info)(include_top=False, input_shape=(*size, 3), pooling="avg")


def test_numbers_of_the_catalogue(network: tuple[BackboneInfo, Any]) -> None:
    info, model = network
    assert model.count_params() == info.parameters
    assert model.output.shape == (None, info.features)
    assert str(model.input.dtype) == "uint8"
    assert model.trainable_variables == []


def test_too_small(network: tuple[BackboneInfo, Any]) -> None:
    info, _ = network
    for size in ((info.least_size - 1, 400), (400, info.least_size - 1)):
        with pytest.raises(HeadstartError, match=f"Expected at least {info.least_size} x "):
            load_backbone(info.name, weights=None).build(size)


def test_equals_keras_with_published_weights(
    network: tuple[BackboneInfo, Any], tmp_path: Path
) -> None:
    """Keras loads the file as it loads ImageNet weights; pixels, order and file are its own."""
    info, model = network
    size: tuple[int, int] = model.input.shape[1:3]
    asked_for: dict[str, str] = {}
    path = write_published(model, tmp_path / info.file)

    def get_file(name: str, origin: str, **options: Any) -> str:
        asked_for.update(name=name, origin=origin, digest=options.get("file_hash") or "")
        return str(path)

    reference = as_keras_does(info, size, get_file)
    path.unlink()  # up to 1.4 GB
    published = f"https://storage.googleapis.com/{info.origin}"
    assert asked_for == {"name": info.file, "origin": published, "digest": info.digest}
    images = module_of(info).preprocess_input(pixels(size).astype("float32"))
    expected, found = np.asarray(reference(images)), np.asarray(model(pixels(size)))
    assert np.abs(expected[0] - expected[1]).max() > 0.1 * expected.std() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-3 * expected.std())
