"""The networks of `keras.applications` without classifier, with their preprocessing.

Each weights file wants its pixels in its own way (`BackboneInfo.preprocessing`); here that is part
of the network: uint8 (n, height, width, 3) -> float32 (n, h, w, features). The model is functional
and flat (but for the stems of ConvNeXt), keeps the layer names of Keras, and needs nothing of
headstart to be opened.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.catalogue import BackboneInfo
from headstart.errors import HeadstartError

_CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # red, green, blue


def preprocess(x: Any, kind: str) -> Any:
    """Add the preprocessing, as layers.

    Args:
        x: uint8 (n, height, width, 3), RGB, 0 to 255.
        kind: `BackboneInfo.preprocessing`.

    Returns:
        float32 of the same shape. For `caffe` and `inside` it equals `preprocess_input` of Keras
        exactly, for `tf` and `torch` to the last bit of float32 (it multiplies where Keras
        divides).
    """
    import keras

    scale = keras.layers.Rescaling
    if kind == "tf":
        return scale(1 / 127.5, -1.0, name="preprocess")(x)
    if kind == "torch":
        factors = [1 / (255 * std) for std in _TORCH_STD]
        offsets = [-mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD, strict=True)]
        return scale(factors, offsets, name="preprocess")(x)
    x = scale(1.0, name="preprocess")(x)  # to float32
    if kind == "caffe":
        x = keras.ops.flip(x, axis=-1)
        x = scale(1.0, [-mean for mean in _CAFFE_MEAN], name="subtract_mean")(x)
    return x


def build(info: BackboneInfo, image_size: tuple[int, int], weights: Path | None) -> Any:
    """Build the network up to its last feature map.

    Args:
        info: Which one.
        image_size: (height, width) in pixels.
        weights: A weights file of Keras, or None for random weights.

    Raises:
        HeadstartError: The weights file does not fit.
    """
    import keras

    function = getattr(keras.applications, info.application)
    image = keras.Input((*image_size, 3), dtype="uint8", name="image")
    x = preprocess(image, info.preprocessing)
    with warnings.catch_warnings():
        # MobileNet's remark on which weights it would load for this size; they are not loaded here.
        warnings.simplefilter("ignore", UserWarning)
        model = function(
            include_top=False, weights=None, input_tensor=x, input_shape=(*image_size, 3)
        )
    if weights is not None:
        _load(model, info, weights)
    if info.family == "efficientnet":
        _set_normalisation(model, published=weights is not None)
    return model


def _load(model: Any, info: BackboneInfo, path: Path) -> None:
    try:
        if _has_more(model, path):
            model.load_weights(str(path), by_name=True)
        else:
            model.load_weights(str(path))
    except Exception as error:  # h5py and Keras raise many kinds for a file that does not fit
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise HeadstartError(
            f"The weights in '{path}' do not fit {info.name}: {reason[:300].rstrip('.')}. Expected "
            f"a Keras weights file (.h5 or .weights.h5) of that network, such as {info.file}. "
            "Give the right file."
        ) from error


def _has_more(model: Any, path: Path) -> bool:
    """Whether an old-style .h5 file has all layers of the network by name, and a classifier.

    Keras fills such a network by name only; by itself that would leave out layers without a word,
    so it is done only where none can be missing.
    """
    if path.name.endswith(".weights.h5") or path.suffix not in (".h5", ".hdf5"):
        return False
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        in_file = {name for name, layer in group.items() if len(layer)}
    return {layer.name for layer in model.layers if layer.weights} < in_file


def _set_normalisation(model: Any, *, published: bool) -> None:
    """Give EfficientNet the input of its training, (x / 255 - mean) / deviation.

    The published files hold the deviation where the layer wants the variance. Keras makes up for it
    by one more layer, but only for `weights="imagenet"`, not for the same file by its path, nor
    without weights (https://github.com/tensorflow/tensorflow/issues/49930 and 62193). Here it goes
    into the layer itself. A file of somebody who normalised otherwise has another mean, and is left
    as it is.
    """
    import keras

    (layer,) = (one for one in model.layers if isinstance(one, keras.layers.Normalization))
    mean, variance, *rest = layer.get_weights()
    deviation = np.asarray(_TORCH_STD, variance.dtype)
    if not published:
        mean, variance = np.asarray(_TORCH_MEAN, mean.dtype), deviation
    elif not np.allclose(mean, _TORCH_MEAN, atol=1e-3):
        return
    layer.set_weights([mean, variance * deviation, *rest])
    layer.finalize_state()
