"""Open a trained Keras model of the user's own, and build it anew without its classifier.

The network takes uint8 (n, height, width, 3), RGB, as every backbone does: preprocessing and, for a
model of one channel, grey stand before the user's layers, which keep their names and weights.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.catalogue import BackboneInfo
from headstart.backbones.headless import find_ends
from headstart.backbones.keras_applications import preprocess
from headstart.backbones.own_pixels import is_random
from headstart.cut import call_again, flatten
from headstart.errors import HeadstartError
from headstart.frameworks import load_keras

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's
GREY_PARAMETERS = len(_GREY)
# Names of the layers that are added here.
_ADDED = {"image", "preprocess", "subtract_mean", "grey", "pool", "flat", "features"}


def build(info: BackboneInfo, path: Path, image_size: tuple[int, int], *, pooling: bool) -> Any:
    """Build the network without its classifier; `own_settings` have to hold.

    Args:
        info: As `describe` gives it.
        path: The file.
        image_size: (height, width) in pixels.
        pooling: Whether to end with the model's own global pooling, or an average where it has
            none.

    Returns:
        A flat functional model, uint8 (n, height, width, 3) -> float32 (n, features), or the last
        feature map (n, h, w, features) without pooling.

    Raises:
        HeadstartError: The file cannot be used, or not at that size.
    """
    return without_head(read(path), info.name, image_size, info.preprocessing, pooling=pooling)


def read(path: Path) -> Any:
    """Open a file as a flat functional model that takes images; no code in it is run.

    Raises:
        HeadstartError: It cannot be opened, or is no such model.
    """
    keras = load_keras()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = keras.saving.load_model(
                str(path), custom_objects=_of_keras_2(path), compile=False, safe_mode=True
            )
    except Exception as error:  # h5py, zipfile and Keras raise many kinds for a file that is none
        raise _unreadable(path, error) from error
    try:
        model = flatten(loaded)
    except HeadstartError as error:
        raise HeadstartError(
            f"The model in '{path}' has no graph of layers with one input and one output. "
            "Expected a functional or built sequential model; found "
            f"{_count(loaded, 'inputs')} and {_count(loaded, 'outputs')}. "
            "Save the part that sees the image as keras.Model(input, output)."
        ) from error
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise HeadstartError(
            f"The model in '{path}' does not take images: its input is {shape[1:]}. Expected "
            "(height, width, 3), or 1 for grey. Use another model."
        )
    return model


def _count(model: Any, what: str) -> str:
    number = len(getattr(model, what, None) or ())
    return f"{number or 'no known'} {what if number != 1 else what[:-1]}"


def _of_keras_2(path: Path) -> dict[str, Any]:
    """Layers whose settings in old .h5 files are unknown to Keras 3.

    https://github.com/keras-team/keras/issues/19151: `groups` of DepthwiseConv2D was always 1.
    """
    if path.suffix.lower() == ".keras":
        return {}
    layer = load_keras().layers.DepthwiseConv2D

    class DepthwiseConv2D(layer):  # type: ignore[misc, valid-type]
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return layer(**{name: one for name, one in config.items() if name != "groups"})

    return {"DepthwiseConv2D": DepthwiseConv2D}


def _unreadable(path: Path, error: Exception) -> HeadstartError:
    text = str(error).strip()
    unknown = re.search(r"(?:Unknown layer: |Could not locate class )'([^']+)'", text)
    if "Lambda" in text and "deserializ" in text:
        return HeadstartError(
            f"The model in '{path}' has a Lambda layer, which is a program inside the file. "
            "Expected layers of Keras only; such code is never run here. Replace the Lambda by a "
            "layer, such as Rescaling, and save the model anew."
        )
    if unknown:
        return HeadstartError(
            f"The model in '{path}' has a layer '{unknown[1]}' that Keras does not know here. "
            "Expected layers of Keras only. Replace it, or save the model anew as .keras with "
            "Keras 3."
        )
    if "No model config" in text:
        return HeadstartError(
            f"'{path}' holds weights without a network. Expected a whole model, as model.save() "
            "writes it. Give the name of the network as backbone and this file as weights."
        )
    reason = _reason(error)
    if "File not found" in text:  # so says Keras of any .keras file that is no zip
        reason = "it is no zip file, as .keras files are"
    return HeadstartError(
        f"The model file '{path}' cannot be opened: {reason}. Expected a whole "
        "model as model.save() of Keras writes it (.keras or .h5). Save it anew with Keras 3."
    )


def _reason(error: Exception) -> str:
    """The first line of an error that says what is wrong, without Keras' bold type."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = (line.strip() for line in text.splitlines())
    told = (line for line in lines if line and not line.startswith("Exception encountered when"))
    return next(told, type(error).__name__)[:300].rstrip(".: ")


def without_head(
    model: Any, name: str, image_size: tuple[int, int], kind: str, *, pooling: bool
) -> Any:
    """Build `model`, as `read` gives it, up to its features; `kind` is the preprocessing.

    Raises:
        HeadstartError: It has no features, or cannot take images of that size.
    """
    keras = load_keras()
    ends = find_ends(model)
    end = ends.vector if pooling and ends.vector is not None else ends.feature_map
    if end is None:
        raise HeadstartError(
            f"{name} has no last feature map: it pools several. Expected one that everything "
            "passes through. Use its pooled features."
        )
    part = keras.Model(model.inputs[0], end)
    for operation in part.operations:
        if operation.name in _ADDED:
            operation.name = f"own_{operation.name}"
    image = keras.Input((*image_size, 3), dtype="uint8", name="image")
    try:
        x = _again(part, _pixels(image, kind, model.inputs[0].shape[3]))
    except HeadstartError:
        raise
    except Exception as error:  # each layer has its own way to refuse a size
        raise _wrong_size(model, name, image_size, error) from error
    if pooling and ends.vector is None:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    elif pooling and len(x.shape) == 4:
        x = keras.layers.Flatten(name="flat")(x)
    if str(x.dtype) != "float32":
        x = keras.layers.Rescaling(1.0, name="features")(x)
    return keras.Model(image, x, name=name)


def _pixels(image: Any, kind: str, channels: int) -> Any:
    """Preprocess, and turn colours into grey where the model has one channel."""
    keras = load_keras()
    x = preprocess(image, kind)
    if channels == 1:
        grey = keras.layers.Conv2D(1, 1, use_bias=False, name="grey")
        x = grey(x)
        grey.set_weights([np.reshape(np.asarray(_GREY, np.float32), (1, 1, 3, 1))])
    return x


def _again(part: Any, x: Any) -> Any:
    """Call the layers of a flat model on another input, as outside training.

    Layers that augment images are left out; what computes in mixed precision computes in float32.
    """

    def call(operation: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        if is_random(operation):
            return arguments[0]
        if str(getattr(operation, "dtype_policy", "")).count("mixed_"):
            operation.dtype_policy = "float32"
        if keywords.get("training"):
            keywords = keywords | {"training": False}
        return operation(*arguments, **keywords)

    return call_again(part, x, call)


def _wrong_size(
    model: Any, name: str, image_size: tuple[int, int], error: Exception
) -> HeadstartError:
    height, width = model.inputs[0].shape[1:3]
    made = f"{height} x {width}" if height and width else "larger images"
    return HeadstartError(
        f"{name} cannot take images of {image_size[0]} x {image_size[1]} pixels: {_reason(error)}. "
        f"Expected {made}, the size it was made for. Choose that image size."
    )
