"""The networks of `keras.applications` without classifier, with their preprocessing.

Each weights file wants its pixels in its own way (`BackboneInfo.preprocessing`); here that is part
of the network: uint8 (n, height, width, 3) -> float32 (n, h, w, features). The model is functional
and flat (but for the stems of ConvNeXt), keeps the layer names of Keras, and needs nothing of
headstart to be opened.
"""

from __future__ import annotations

import re
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
        divides). `unit` is 0 to 1, as many scratch-trained networks want it.
    """
    import keras

    scale = keras.layers.Rescaling
    if kind == "tf":
        return scale(1 / 127.5, -1.0, name="preprocess")(x)
    if kind == "unit":
        return scale(1 / 255, name="preprocess")(x)
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
    return keras.Model(image, model.output, name=model.name)  # most have a list as their input


def _load(model: Any, info: BackboneInfo, path: Path) -> None:
    try:
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            if path.name.endswith(".weights.h5") or path.suffix == ".keras":
                model.load_weights(str(path))
            else:
                _load_first_layers(model, path)
        if remarks:  # Keras only warns where it leaves a layer as it was, with random weights
            raise ValueError(remarks[0].message)
    except Exception as error:  # h5py and Keras raise many kinds for a file that does not fit
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise HeadstartError(
            f"The weights in '{path}' do not fit {info.name}: {reason[:300].rstrip('.: ')}. "
            f"Expected a Keras weights file (.h5 or .weights.h5) of that network, such as "
            f"{info.file}. Give the right file."
        ) from error


def _load_first_layers(model: Any, path: Path) -> None:
    """Fill the network from an old-style .h5 file, which may go on with a classifier.

    Keras matches layers by their order, but then wants no more of them, or by their names, but then
    takes VGG19's file for VGG16, whose names it has among others. So here they get for a while the
    names that the file's layers have in its order; a deeper network's have other shapes then.
    """
    layers = [layer for layer in model.layers if layer.weights]
    in_file, names = _weighted_layers(path), [layer.name for layer in layers]
    if len(in_file) < len(layers):
        raise ValueError(f"it has {len(in_file)} layers with weights instead of {len(layers)}")
    try:
        for layer, name in zip(layers, in_file, strict=False):
            layer.name = name
        model.load_weights(str(path), by_name=True)
    finally:
        for layer, name in zip(layers, names, strict=True):
            layer.name = name


def _weighted_layers(path: Path) -> list[str]:
    """The names of the layers with weights in an old-style .h5 file, in its order."""
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        # A long list is cut into several attributes: layer_names0, layer_names1 and so on.
        parts = [key for key in group.attrs if re.fullmatch(r"layer_names\d*", key)]
        parts.sort(key=lambda key: int(key.removeprefix("layer_names") or 0))
        raw = [name for key in parts for name in group.attrs[key]]
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in raw]
        return [name for name in names if len(group[name])]


def _set_normalisation(model: Any, *, published: bool) -> None:
    """Give EfficientNet the input of its training, (x / 255 - mean) / deviation.

    The published files hold the deviation where the layer wants the variance. Keras makes up for it
    by one more layer, but only for `weights="imagenet"`, not for the same file by its path, nor
    without weights (https://github.com/tensorflow/tensorflow/issues/49930 and 62193). Here it goes
    into the layer itself. Left as they are: a file of somebody who normalised otherwise, with
    another mean, and one saved from a network built here, with the variance in its place.
    """
    import keras

    (layer,) = (one for one in model.layers if isinstance(one, keras.layers.Normalization))
    mean, variance, *rest = layer.get_weights()
    deviation = np.asarray(_TORCH_STD, variance.dtype)
    if not published:
        mean, variance = np.asarray(_TORCH_MEAN, mean.dtype), deviation
    else:
        other = not np.allclose(mean, _TORCH_MEAN, atol=1e-3)
        if other or np.allclose(variance, deviation**2, atol=1e-3):
            return
    layer.set_weights([mean, variance * deviation, *rest])
    layer.finalize_state()
