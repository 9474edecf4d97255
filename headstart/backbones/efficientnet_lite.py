"""EfficientNet-Lite 0, 1 and 2 as Keras networks, with the weights of their PyTorch checkpoints.

EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation and
with ReLU6; stem and head are not scaled, nor is the number of blocks in the first and last stage
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). The model is
flat: uint8 (n, height, width, 3) -> float32 (n, height / 32, width / 32, 1280), sizes rounded up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from headstart.backbones.checkpoint import Tensors
from headstart.errors import HeadstartError

SCALES = {  # width, depth
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
_STAGES = (  # blocks, kernel, stride, expansion, channels in, channels out
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
_STEM, _HEAD = 32, 1280
_EPSILON = 1e-3
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Block:
    """One inverted residual block; `stage` counts from 1, as in the paper's table."""

    stage: int
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


def blocks(name: str) -> list[Block]:
    """The blocks of a network, in order."""
    width, depth = SCALES[name]
    result = []
    for stage, (count, kernel, stride, expansion, before, after) in enumerate(_STAGES):
        repeats = count if stage in (0, len(_STAGES) - 1) else math.ceil(count * depth)
        # The first stage follows the stem, which is not scaled.
        into, out = _scaled(before, width) if stage else _STEM, _scaled(after, width)
        for index in range(repeats):
            step = 1 if index else stride
            result.append(Block(stage + 1, kernel, step, expansion, out if index else into, out))
    return result


def _scaled(channels: int, width: float) -> int:
    """Round to a multiple of 8, and never down by more than a tenth."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


@dataclass(frozen=True)
class _Weighted:
    """A layer, the tensors that it takes, and the order of the first one's axes."""

    layer: Any
    tensors: tuple[str, ...]
    axes: tuple[int, ...] | None = None


def _convolve(weighted: list[_Weighted], x: Any, source: str, layer: Any) -> Any:
    """Apply a convolution and remember its tensor, which is (out, in, height, width)."""
    from keras import layers

    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
    weighted.append(_Weighted(layer, (f"{source}.weight",), axes))
    return layer(x)


def _normalise(
    weighted: list[_Weighted], x: Any, source: str, name: str, *, activation: bool = True
) -> Any:
    """Apply batch norm, then ReLU6 if asked, and remember the tensors."""
    from keras import layers

    layer = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")
    weighted.append(_Weighted(layer, tuple(f"{source}.{part}" for part in _NORM)))
    x = layer(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activation else x


def _apply_block(weighted: list[_Weighted], x: Any, number: int, block: Block) -> Any:
    from keras import layers

    source, name, inner = f"_blocks.{number}", f"block{block.stage}_{number}", x
    if block.expansion != 1:
        wide = block.channels_in * block.expansion
        layer = layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand")
        inner = _convolve(weighted, inner, f"{source}._expand_conv", layer)
        inner = _normalise(weighted, inner, f"{source}._bn0", f"{name}_expand")
    layer = layers.DepthwiseConv2D(
        block.kernel, block.stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )
    inner = _convolve(weighted, inner, f"{source}._depthwise_conv", layer)
    inner = _normalise(weighted, inner, f"{source}._bn1", f"{name}_depthwise")
    layer = layers.Conv2D(block.channels_out, 1, use_bias=False, name=f"{name}_project")
    inner = _convolve(weighted, inner, f"{source}._project_conv", layer)
    inner = _normalise(weighted, inner, f"{source}._bn2", f"{name}_project", activation=False)
    if block.stride == 1 and block.channels_in == block.channels_out:
        return layers.Add(name=f"{name}_add")([x, inner])
    return inner


def build(name: str, image_size: tuple[int, int], tensors: Tensors | None) -> Any:
    """Build the network up to its last feature map.

    Args:
        name: `efficientnet_lite0`, 1 or 2.
        image_size: (height, width) in pixels.
        tensors: The checkpoint's, or None for random weights.

    Raises:
        HeadstartError: The tensors are those of another network.
    """
    import keras

    weighted: list[_Weighted] = []
    image = keras.Input((*image_size, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="preprocess")(image)
    stem = keras.layers.Conv2D(_STEM, 3, 2, padding="same", use_bias=False, name="stem")
    x = _convolve(weighted, x, "_conv_stem", stem)
    x = _normalise(weighted, x, "_bn0", "stem")
    for number, block in enumerate(blocks(name)):
        x = _apply_block(weighted, x, number, block)
    head = keras.layers.Conv2D(_HEAD, 1, use_bias=False, name="head")
    x = _convolve(weighted, x, "_conv_head", head)
    x = _normalise(weighted, x, "_bn1", "head")
    if tensors is not None:
        for one in weighted:
            _fill(one, tensors, name)
    return keras.Model(image, x, name=name)


def _fill(one: _Weighted, tensors: Tensors, name: str) -> None:
    missing = [source for source in one.tensors if source not in tensors]
    arrays = [tensors[source] for source in one.tensors if source in tensors]
    if one.axes and arrays and arrays[0].ndim == len(one.axes):
        arrays = [arrays[0].transpose(one.axes)]
    expected = [tuple(weight.shape) for weight in one.layer.weights]
    if missing or [array.shape for array in arrays] != expected:
        found = f"no tensor {missing[0]}" if missing else f"{[array.shape for array in arrays]}"
        raise HeadstartError(
            f"The weights do not fit {name}. Expected for its layer {one.layer.name} the shapes "
            f"{expected}; found {found}. Give the checkpoint of that very network."
        )
    one.layer.set_weights(arrays)
