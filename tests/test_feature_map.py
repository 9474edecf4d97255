"""Which networks have a last feature map that is pooled, and that it is the right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import own_models as own
import pytest
from tiny_network import tiny

from headstart.conversion import FILES
from headstart.explanation.feature_map import open_feature_maps
from headstart.openvino_file import convert
from headstart.prefix import Prefix

layers = own.layers
SIDE = own.SIDE


def tokens(x: Any) -> Any:
    return layers.Reshape((64, 6))(x)


ENDINGS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "mean": (layers.GlobalAveragePooling2D(), "mean"),
    "max": (layers.GlobalMaxPooling2D(), "max"),
    "mean, then flat": (
        lambda x: layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(x)),
        "mean",
    ),
    "mean as an operation": (lambda x: own.keras.ops.mean(x, axis=(1, 2)), "mean"),
    "mean of patches": (lambda x: layers.GlobalAveragePooling1D()(tokens(x)), "mean"),
    "class token": (
        lambda x: layers.GlobalAveragePooling1D()(layers.Cropping1D((0, 63))(tokens(x))),
        "",
    ),
    "patches that are no grid": (
        lambda x: layers.GlobalAveragePooling1D()(layers.Cropping1D((0, 1))(tokens(x))),
        "",
    ),
    "both": (
        lambda x: layers.Concatenate()(
            [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
        ),
        "",
    ),
    "flat": (layers.Flatten(), ""),
    "learned behind": (lambda x: layers.Dense(5)(layers.GlobalAveragePooling2D()(x)), ""),
    "mean over rows alone": (lambda x: layers.Flatten()(own.keras.ops.mean(x, axis=1)), ""),
}


class Built:
    """A model in place of a backbone."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def build(self, image_size: tuple[int, int]) -> Any:
        return self.model


def prefix_of(model: Any, engine: str, folder: Path) -> Prefix:
    shape = (int(model.output.shape[-1]),)
    identity = replace(tiny(engine).identity, image_size=(SIDE, SIDE))
    if engine == "keras":
        built: Any = Built(model)
        return Prefix(identity, shape, built)
    convert(model, folder / FILES[0])
    return Prefix(identity, shape, folder=folder)


@pytest.mark.parametrize("engine", ["openvino", "keras"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_map_behind_the_features(ending: str, engine: str, tmp_path: Path) -> None:
    end, pooling = ENDINGS[ending]
    image = own.keras.Input((SIDE, SIDE, 3), dtype="uint8")
    feature_map = own.body()(layers.Rescaling(1 / 255)(image))
    model = own.seeded(own.keras.Model(image, end(feature_map)))
    prefix = prefix_of(model, engine, tmp_path)
    found = open_feature_maps(prefix)
    if found is None:
        assert pooling == ""
        return
    assert found.pooling == pooling
    given = list(own.pixels())
    expected = own.answer(own.keras.Model(image, feature_map), own.pixels())
    got = list(found.stream(given))
    assert [one.shape for one in got] == [(8, 8, 6)] * 2
    np.testing.assert_allclose(np.stack(got), expected, rtol=1e-4, atol=1e-4)
    features = list(prefix.open().stream(given))
    np.testing.assert_allclose([found.pool(one) for one in got], features, rtol=1e-4, atol=1e-4)
