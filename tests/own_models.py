"""Small trained models such as users have, made anew for the tests with seeded weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.frameworks import load_keras

keras: Any = load_keras()
layers: Any = keras.layers
SIDE = 32


def seeded(model: Any, seed: int = 0) -> Any:
    """Give every weight a number, so that no layer is the identity and no feature is dead."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            (rng.normal(0, 0.2, one.shape) + (0.5 if one.ndim == 1 else 0)).astype(one.dtype)
            if "int" not in str(one.dtype) and one.size
            else one
            for one in model.get_weights()
        ]
    )
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.moving_variance.shape))
    return model


def body(channels: int = 3, side: int | None = SIDE, name: str = "body") -> Any:
    """Two convolutions with BatchNorm: (n, side, side, channels) -> (n, side / 4, side / 4, 6)."""
    x = image = keras.Input((side, side, channels), name=f"{name}_in")
    for number, filters in enumerate((4, 6)):
        x = layers.Conv2D(filters, 3, 2, padding="same", name=f"{name}_conv{number}")(x)
        x = layers.BatchNormalization(name=f"{name}_bn{number}")(x)
        x = layers.ReLU(name=f"{name}_relu{number}")(x)
    return keras.Model(image, x, name=name)


def tutorial(rescaled: bool = True) -> Any:
    """The model of the guide: augmentation, scaling, a backbone as one layer, pooling, Dense."""
    image = keras.Input((SIDE, SIDE, 3))
    augment = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.2)], name="augment")
    x = augment(image)
    if rescaled:
        x = layers.Rescaling(1 / 127.5, -1.0)(x)
    x = body()(x, training=False)
    x = layers.GlobalAveragePooling2D(name="features_here")(x)
    x = layers.Dense(5, activation="relu")(x)
    x = layers.Dropout(0.5)(layers.BatchNormalization()(x))
    return seeded(keras.Model(image, layers.Dense(3, activation="softmax")(x)))


def sequential(*head: Any, channels: int = 3, side: int | None = SIDE) -> Any:
    """Scaling from 0..255, `body`, and a head, in a row."""
    image = keras.Input((side, side, channels))
    parts = [image, layers.Rescaling(1 / 255), body(channels, side), *head]
    return seeded(keras.Sequential(parts, name="own"))


def pixels(side: int = SIDE, count: int = 2) -> npt.NDArray[np.uint8]:
    """Random images, uint8 (count, side, side, 3)."""
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def save(model: Any, folder: Path, name: str = "own.keras") -> Path:
    """Write the model with Keras."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that .h5 is an old format
        model.save(folder / name)
    return folder / name


def answer(model: Any, values: Any) -> npt.NDArray[np.float32]:
    """What a model gives outside training."""
    return np.asarray(model(values, training=False))
