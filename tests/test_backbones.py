from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from headstart.backbones import list_backbones, load_backbone
from headstart.backbones.weights import file_digest
from headstart.errors import HeadstartError

OWN = [info for info in list_backbones() if info.source != "keras"]
LITE, TINY = "efficientnet_lite0", "tiny"


def pixels(*size: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)


@pytest.mark.parametrize("info", OWN, ids=lambda info: info.name)
def test_numbers_of_the_catalogue(info: Any) -> None:
    model = load_backbone(info.name).build((info.least_size, info.least_size + 3))
    assert model.count_params() == info.parameters
    assert model.output.shape == (None, info.features)


@pytest.mark.parametrize("info", OWN, ids=lambda info: info.name)
@pytest.mark.parametrize("size", [(0, 1), (1, 0)])
def test_too_small(info: Any, size: tuple[int, int]) -> None:
    height, width = (info.least_size - step for step in size)
    least = f"{info.least_size} x {info.least_size}"
    with pytest.raises(HeadstartError) as caught:
        load_backbone(info.name).build((height, width))
    assert str(caught.value) == (
        f"{info.name} cannot take images of {height} x {width} pixels. Expected at least {least}; "
        f"its weights were trained at {info.image_size} x {info.image_size}. "
        "Choose a larger image size."
    )


@pytest.mark.parametrize(
    ("name", "size", "map_size", "features"),
    [
        (LITE, (96, 65), (3, 3), 1280),
        ("mobilenet", (32, 64), (1, 2), 1024),
        ("vgg16", (64, 40), (2, 1), 512),
        (TINY, (8, 8), (1, 1), 32),
        (TINY, (33, 50), (5, 7), 32),
    ],
)
def test_what_goes_in_and_comes_out(
    name: str, size: tuple[int, int], map_size: tuple[int, int], features: int
) -> None:
    backbone = load_backbone(name, weights=None)
    last, pooled = backbone.build(size, pooling=False), backbone.build(size)
    for model in (last, pooled):
        assert model.input.shape == (None, *size, 3)
        assert model.input.dtype == "uint8"
        assert model.trainable_variables == []
    assert last.output.shape == (None, *map_size, features)
    assert pooled.output.shape == (None, features)
    maps, means = np.asarray(last(pixels(*size))), np.asarray(pooled(pixels(*size)))
    assert maps.dtype == means.dtype == np.float32
    np.testing.assert_allclose(means, maps.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [LITE, "mobilenet"])
def test_random_weights_are_the_same_each_time(name: str) -> None:
    import keras

    backbone = load_backbone(name, weights=None)
    assert backbone.weights is None
    first = backbone.build((32, 32)).get_weights()
    keras.utils.set_random_seed(7)
    second = backbone.build((32, 64)).get_weights()
    assert len(first) == len(second) > 0
    assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))
    kernels = [weight for weight in first if weight.ndim == 4]
    assert all(kernel.std() > 0 for kernel in kernels)


def test_weights_of_tiny_are_fixed() -> None:
    """On every machine and with every version: other tests state what it answers."""
    weights = load_backbone(TINY).build((64, 64)).get_weights()
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()
    assert digest.startswith("22aca7ca862617edc0f1")


@pytest.fixture
def other_settings() -> Iterator[None]:
    import keras

    policy, layout = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format(layout)


@pytest.mark.usefixtures("other_settings")
@pytest.mark.parametrize("name", [TINY, "mobilenet"])
def test_settings_of_the_caller(name: str) -> None:
    """They stay as they are, and do not change what is built."""
    import keras

    random.seed(5)
    state = random.getstate()
    model = load_backbone(name, weights=None).build((32, 64))
    assert random.getstate() == state
    assert keras.config.dtype_policy().name == "mixed_float16"
    assert keras.config.image_data_format() == "channels_first"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.input.shape == (None, 32, 64, 3)
    assert np.asarray(model(pixels(32, 64))).dtype == np.float32


@pytest.mark.usefixtures("other_settings")
def test_settings_of_the_caller_after_an_error(tmp_path: Path) -> None:
    import keras

    (tmp_path / "weights.h5").write_bytes(b"")
    random.seed(5)
    state = random.getstate()
    with pytest.raises(HeadstartError, match="do not fit mobilenet"):
        load_backbone("mobilenet", weights=tmp_path / "weights.h5").build((32, 32))
    assert random.getstate() == state
    assert keras.config.dtype_policy().name == "mixed_float16"
    assert keras.config.image_data_format() == "channels_first"


@pytest.mark.parametrize(
    ("name", "weights", "digest"),
    [
        (TINY, "imagenet", "seeded"),
        (TINY, None, "seeded"),
        (LITE, None, "random"),
        ("MobileNetV2", None, "random"),
    ],
)
def test_weights_of_no_file(name: str, weights: str | None, digest: str) -> None:
    backbone = load_backbone(name, weights=weights)
    assert (backbone.weights, backbone.weights_digest) == (None, digest)


def test_weights_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "mine.h5"
    path.write_bytes(b"weights")
    for weights in (path, str(path), "~/mine.h5"):
        backbone = load_backbone("vgg16", weights=weights)
        assert (backbone.weights, backbone.weights_digest) == (path, file_digest(path))


@pytest.mark.parametrize(
    ("name", "file", "reason"),
    [
        ("vgg16", "missing.h5", r"There is no weights file '.*missing.h5'. Expected 'imagenet' or"),
        ("vgg16", "", "There is no weights file"),
        (TINY, "missing.h5", r"such as vgg16\.h5\. Check the path"),
        ("vgg16", "some.pth", r"Expected a file that ends in \.h5 or \.hdf5 or \.keras\. Give"),
        (LITE, "some.h5", r"Expected a file that ends in \.pth or \.pt\. Give another file"),
        (TINY, "some.h5", "Expected none: its weights are made here"),
    ],
)
def test_weights_that_cannot_be_used(name: str, file: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "some.h5").touch()
    (tmp_path / "some.pth").touch()
    with pytest.raises(HeadstartError, match=reason):
        load_backbone(name, weights=tmp_path / file)


def test_lite_by_path(tmp_path: Path) -> None:
    packaged = load_backbone(LITE)
    assert packaged.weights is not None
    (tmp_path / "mine.pt").symlink_to(packaged.weights)
    mine = load_backbone(LITE, weights=tmp_path / "mine.pt")
    assert mine.weights == tmp_path / "mine.pt"
    assert mine.weights_digest == packaged.weights_digest


def test_unknown_name() -> None:
    with pytest.raises(HeadstartError, match="Expected a name such as resnet50"):
        load_backbone("resnet500")


def test_layers_have_the_same_names_each_time() -> None:
    names = [
        [
            layer.name
            for layer in load_backbone("mobilenet_v3_small", weights=None).build((32, 32)).layers
        ]
        for _ in range(2)
    ]
    assert names[0] == names[1]
    assert any(name.startswith("activation") for name in names[0])  # which has none of its own
