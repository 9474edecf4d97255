"""A small network with seeded weights, for tests and to try things out in a second.

uint8 (n, height, width, 3) -> float32 (n, height / 8, width / 8, 32), sizes rounded up. The weights
come from the bits of PCG64, which numpy keeps the same for ever, by exact steps only: they are the
same on every machine and with every version.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FEATURES = 32
_FILTERS = (8, 16, FEATURES)


def build(image_size: tuple[int, int]) -> Any:
    """Build the network up to its last feature map; `image_size` is (height, width) in pixels."""
    import keras

    bits = np.random.PCG64(0)
    image = keras.Input((*image_size, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocess")(image)
    for number, filters in enumerate(_FILTERS, start=1):
        name, channels = f"block{number}", x.shape[-1]
        convolution = keras.layers.Conv2D(
            filters, 3, 2, padding="same", use_bias=False, name=f"{name}_conv"
        )
        norm = keras.layers.BatchNormalization(name=f"{name}_bn")
        x = keras.layers.ReLU(6.0, name=f"{name}_relu")(norm(convolution(x)))
        spread = np.float32(np.sqrt(6 / (9 * channels)))  # He et al. 2015, uniform
        convolution.set_weights([spread * _uniform(bits, (3, 3, channels, filters))])
        scale, shift, mean, variance = _uniform(bits, (4, filters)) * np.float32(0.25)
        norm.set_weights([1 + scale, shift, mean, 1 + variance])
    return keras.Model(image, x, name="tiny")


def _uniform(bits: np.random.PCG64, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Numbers from -1 to 1 with 24 bits each, which float32 holds exactly."""
    raw = bits.random_raw(int(np.prod(shape))) >> np.uint64(40)
    return (raw.astype(np.float32) * np.float32(2.0**-23) - np.float32(1)).reshape(shape)
