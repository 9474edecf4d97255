"""How a model of the user's own wants its pixels, read from its first layers.

Layers that scale or shift what comes in show that it takes pixels from 0 to 255. Without any, the
names of its layers may show which network of `keras.applications` it grew from, whose weights want
their pixels in a way that is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.cut import nodes

INSIDE, UNKNOWN = "inside", ""
CHOICES = ("auto", "inside", "tf", "unit", "caffe", "torch")
_PASSING = {  # what leaves the range of the values as it is
    *("InputLayer", "Resizing", "CenterCrop", "RandomCrop", "ZeroPadding2D", "Identity", "Dropout"),
    *("GaussianNoise", "Cast", "GetItem", "Stack", "Concatenate", "Flip", "Reshape", "Permute"),
}
# Layers that only one family has, near its input; the first that fits counts.
_FAMILIES = (
    ({"conv2_block1_preact_bn", "conv1_conv"}, "tf"),  # ResNet V2
    ({"conv2_block1_out", "conv1_conv"}, "caffe"),  # ResNet
    ({"conv2_block1_concat"}, "torch"),  # DenseNet
    ({"block1_conv1", "block2_sepconv1"}, "tf"),  # Xception
    ({"block1_conv1", "block1_conv2", "block3_conv3"}, "caffe"),  # VGG
    ({"conv1", "conv_dw_1", "conv_pw_1"}, "tf"),  # MobileNet
    ({"Conv1", "bn_Conv1", "block_1_expand"}, "tf"),  # MobileNetV2
    ({"mixed0", "mixed1"}, "tf"),  # Inception V3
    ({"mixed_5b"}, "tf"),  # Inception-ResNet V2
    ({"stem_conv1", "stem_bn1"}, "tf"),  # NASNet
)


def detect(model: Any) -> tuple[str, bool]:
    """Tell the preprocessing of a flat model.

    Returns:
        A word of `CHOICES`, or "" where it cannot be told; and whether only names speak for it.
    """
    if "int" in str(model.inputs[0].dtype):
        return INSIDE, False
    for node in nodes(model):
        step = _step(node)
        if step is None:
            break
        scale, offset = step
        if scale == 1 and offset == 0:
            continue
        # Pixels become numbers of a few units (-1 to 1, or by deviation), or lose their mean.
        return (INSIDE if scale < 0.25 or offset > 16 else UNKNOWN), False
    names = {layer.name for layer in model.layers}
    kinds = (kind for signs, kind in _FAMILIES if signs <= names)
    kind = next(kinds, UNKNOWN)
    return kind, kind != UNKNOWN


def _step(node: Any) -> tuple[float, float] | None:
    """How a call scales and shifts what comes in, as largest sizes; None for any other call."""
    operation = node.operation
    kind = type(operation).__name__
    if kind in _PASSING or is_random(operation):
        return 1.0, 0.0
    if kind == "Rescaling":
        return _largest(operation.scale), _largest(operation.offset)
    if kind == "Normalization":
        mean, variance = np.asarray(operation.mean), np.asarray(operation.variance)
        deviation = np.sqrt(np.maximum(variance, 1e-12))
        # Of values from 0 to 1 no mean is above 1: then somebody has scaled them before.
        return (1.0, 17.0) if _largest(mean) > 2 else (1 / _largest(deviation), 0.5)
    constants = [one for one in node.arguments.args if not hasattr(one, "_keras_history")]
    if kind not in ("TrueDivide", "Divide", "Multiply", "Add", "Subtract") or len(constants) != 1:
        return None
    size = _largest(constants[0])
    if kind in ("Add", "Subtract"):
        return 1.0, size
    return (1 / max(size, 1e-12) if "Divide" in kind else size), 0.0


def _largest(value: Any) -> float:
    return float(np.max(np.abs(np.asarray(value, np.float64))))


def is_random(operation: Any) -> bool:
    """Whether a layer only augments images in training, and passes them on otherwise.

    `RandomCrop` is none of these: outside training it crops in the middle.
    """
    kind, place = type(operation).__name__, type(operation).__module__
    named = kind in ("RandAugment", "AugMix", "MixUp", "CutMix") or (
        kind.startswith("Random") and kind != "RandomCrop"
    )
    return named and place.startswith("keras.")
