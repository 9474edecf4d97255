"""Batch norm whose scale and shift learn while its statistics stay as they are.

A `BatchNormalization` that is trainable updates its mean and variance with every batch, which ruins
a pre-trained network on small data. Here the layer's own weights are used, and its statistics never
change, whatever the mode.
"""

from __future__ import annotations

import functools
from typing import Any

from headstart.frameworks import load_keras


def inference_norm(norm: Any) -> Any:
    """A layer that does what `norm` does in inference, with the weights of `norm`."""
    return _layer_class()(norm, name=norm.name)


@functools.cache
def _layer_class() -> Any:
    keras = load_keras()

    class InferenceNorm(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, norm: Any, name: str) -> None:
            super().__init__(name=name, dtype=norm.dtype_policy)
            self.norm = norm

        def call(self, inputs: Any) -> Any:
            norm = self.norm
            return keras.ops.batch_normalization(
                inputs,
                norm.moving_mean,
                norm.moving_variance,
                norm.axis,
                offset=norm.beta,
                scale=norm.gamma,
                epsilon=norm.epsilon,
            )

    return InferenceNorm
