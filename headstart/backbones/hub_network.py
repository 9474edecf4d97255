"""Build the network of a KerasHub preset as a backbone: preprocessing before, pooling behind.

The layers are those of KerasHub with the preset's weights, called anew on uint8 images
(n, height, width, 3). Encoders that hide all of their blocks in one layer are unrolled, so that a
network can be cut between blocks. Features are what the family means by them: see `pool`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

from headstart.backbones.hub_preset import Preset
from headstart.backbones.keras_applications import preprocess
from headstart.cut import call_again, flatten
from headstart.errors import HeadstartError
from headstart.extras import require
from headstart.frameworks import load_keras

_WITH_CLASS_TOKEN = {
    *("DeiTBackbone", "DINOV2Backbone", "DINOV3Backbone"),
    *("CLIPVisionEncoder", "MetaCLIP2VisionEncoder"),
}
_FIXED = "where its patches lie was learned for one size alone"
# Names of the layers that are added here.
_ADDED = {"image", "preprocess", "subtract_mean", "class_token", "pool"}


def load_hub() -> Any:
    """Import KerasHub, and Keras quietly before it.

    Raises:
        MissingExtra: It is not installed.
    """
    load_keras()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return require("keras_hub", "hub", "backbones of KerasHub")


def build(
    preset: Preset, name: str, image_size: tuple[int, int], kind: str, *, pooling: bool
) -> Any:
    """Build the network; `own_settings` have to hold.

    Args:
        preset: As `read_preset` gives it.
        name: Of the network.
        image_size: (height, width) in pixels.
        kind: The preprocessing where the preset has none of its own.
        pooling: Whether to end with the pooled features.

    Returns:
        A flat functional model, uint8 (n, height, width, 3) -> float32 (n, features), or without
        pooling the last feature map (n, h, w, features) or all tokens (n, tokens, features).

    Raises:
        HeadstartError: The preset cannot be used, or not at that size.
    """
    keras = load_keras()
    backbone = _load(preset, image_size)
    encoder, end = _vision(backbone, preset)
    image = keras.Input((*image_size, 3), dtype="uint8", name="image")
    pixels = _pixels(image, preset, kind)
    graph = flatten(keras.Model(encoder.inputs[0], end))
    for operation in graph.operations:
        if operation.name in _ADDED:
            operation.name = f"hub_{operation.name}"
    try:
        x = call_again(graph, pixels, _call)
    except Exception as error:  # each layer has its own way to refuse a size
        raise _wrong_size(preset, image_size, error) from error
    tokens = len(x.shape) == 3
    if tokens and not preset.any_size and image_size != preset.shape:
        # As many patches in other rows take the weights of their places, and mean nothing.
        raise _wrong_size(preset, image_size, ValueError(_FIXED))
    if pooling:
        norm = getattr(backbone, "vision_post_layer_norm", None)  # of MetaCLIP 2
        x = pool(x, class_token=has_class_token(encoder), norm=norm)
    else:
        while len(x.shape) == 2:  # back to before the network's own pooling
            operation, node, _ = x._keras_history
            x = operation._inbound_nodes[node].input_tensors[0]
    return keras.Model(image, x, name=name)


def pool(x: Any, *, class_token: bool, norm: Any = None) -> Any:
    """The features of each image, (n, features), by one layer `pool` at the end.

    Args:
        x: A feature map (n, h, w, features), which is averaged; tokens (n, tokens, features), of
            which the class token is taken where there is one, and else the average; or what the
            network itself has pooled.
        class_token: Whether the first token stands for the whole image.
        norm: A layer that belongs between the class token and the features.
    """
    layers = load_keras().layers
    if len(x.shape) == 4:
        return layers.GlobalAveragePooling2D(name="pool")(x)
    if len(x.shape) == 2:
        return layers.Identity(name="pool")(x)
    if class_token:
        x = layers.Cropping1D((0, x.shape[1] - 1), name="class_token")(x)
    if norm is not None:
        x = norm(x)
    return layers.GlobalAveragePooling1D(name="pool")(x)


def has_class_token(encoder: Any) -> bool:
    """Whether the first token that a network gives stands for the whole image."""
    named = type(encoder).__name__ in _WITH_CLASS_TOKEN
    return named or bool(getattr(encoder, "use_class_token", False))


def converter_of(preset: Preset) -> Any:
    """The preset's own preprocessing, as a layer of KerasHub; None where it has none.

    Raises:
        HeadstartError: It does something else than scaling and shifting.
    """
    if preset.converter is None:
        return None
    hub, keras = load_hub(), load_keras()
    plain = hub.layers.ImageConverter
    try:
        converter = keras.saving.deserialize_keras_object(preset.converter)
    except Exception as error:  # Keras raises many kinds
        raise _unreadable(preset, error) from error
    if not isinstance(converter, plain) or type(converter).call is not plain.call:
        raise HeadstartError(
            f"The preprocessing of the preset '{preset.folder}' is not known here: it is a "
            f"{type(converter).__name__}. Expected an image converter that scales and shifts. Use "
            "another preset."
        )
    return converter


def _pixels(image: Any, preset: Preset, kind: str) -> Any:
    """What the converter does after its resizing, as one layer."""
    converter = converter_of(preset)
    if converter is None:
        return preprocess(image, kind)
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return load_keras().layers.Rescaling(scale, offset, name="preprocess")(image)


def _load(preset: Preset, image_size: tuple[int, int]) -> Any:
    """The network of KerasHub with its weights, for that size where it is made for one."""
    hub, keras = load_hub(), load_keras()
    known = keras.saving.get_registered_object(preset.config["registered_name"])
    if not (isinstance(known, type) and issubclass(known, hub.models.Backbone)):
        raise HeadstartError(
            f"The preset '{preset.folder}' is no backbone that KerasHub {hub.__version__} knows: "
            f"it is a {preset.kind}. Expected one such as ResNetBackbone. Update KerasHub, or give "
            "a model of your own as .keras file."
        )
    resized = preset.shape not in ((None, None), image_size)
    config = preset.config_at(image_size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            backbone = keras.saving.deserialize_keras_object(config)
            backbone.load_weights(str(preset.weights))
    except Exception as error:  # Keras and h5py raise many kinds
        if resized:
            raise _wrong_size(preset, image_size, error) from error
        raise _unreadable(preset, error) from error
    return backbone


def _vision(backbone: Any, preset: Preset) -> tuple[Any, Any]:
    """The part that sees the image, and what it gives in the end.

    Of CLIP and SigLIP that is the vision encoder, before the projection to what texts and images
    share; of a network for segmentation or detection, what it is built upon.
    """
    parts = (getattr(backbone, name, None) for name in ("vision_encoder", "image_encoder"))
    encoder = next((one for one in parts if one is not None), backbone)
    inputs = list(getattr(encoder, "inputs", None) or ())
    outputs = list(getattr(encoder, "outputs", None) or ())
    end = outputs[0] if len(outputs) == 1 else None
    if type(encoder).__name__ == "HGNetV2Backbone":  # gives the map of each stage, by name
        *_, end = encoder.output.values()
    if len(inputs) == 1 and end is not None and len(end.shape) in (2, 3, 4):
        return encoder, end
    raise HeadstartError(
        f"The preset '{preset.folder}' cannot be a backbone: its {type(encoder).__name__} has "
        f"{len(inputs)} inputs and {len(outputs)} outputs. Expected one image and one feature map, "
        "vector or list of tokens. Use another preset."
    )


def _call(operation: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    unroll = _UNROLLED.get(type(operation).__name__)
    if unroll is not None:
        return unroll(operation, arguments[0], keywords)
    if keywords.get("training"):
        keywords = keywords | {"training": False}
    return operation(*arguments, **keywords)


def _vit(encoder: Any, x: Any, _: dict[str, Any]) -> Any:
    if encoder.dropout.rate:
        x = encoder.dropout(x)
    for block in encoder.encoder_layers:
        x = block(x)
    return encoder.layer_norm(x)


def _deit(encoder: Any, x: Any, _: dict[str, Any]) -> Any:
    for block in encoder.encoder_layers:
        x, _scores = block(x, return_attention_scores=True)  # else None stands there, no tensor
    x = encoder.layer_norm(x)
    return x, x, x  # in place of hidden states and scores, for which nobody asks


def _dino(encoder: Any, x: Any, keywords: dict[str, Any]) -> Any:
    stages = {}
    for number, block in enumerate(encoder.layers, start=1):
        x = block(x, **keywords)
        stages[f"stage{number}"] = x
    return x, stages


def _rope(embedding: Any, x: Any, _: dict[str, Any]) -> Any:
    """Where each patch lies, as numbers: as a path past all blocks it would forbid every cut."""
    ops = load_keras().ops
    return tuple(map(ops.convert_to_numpy, embedding(ops.zeros((1, *x.shape[1:])))))


def _embedding(layer: Any, x: Any, _: dict[str, Any]) -> Any:
    """Call a layer that miscounts its tokens, with their number as one image of zeros gives it.

    SigLIP's counts a class token that is not there, DINO's take every image for a square.
    """
    real = tuple(layer(load_keras().ops.zeros((1, *x.shape[1:]))).shape[1:])
    layer.compute_output_shape = lambda given: (given[0], *real)
    return layer(x)


_UNROLLED: dict[str, Callable[[Any, Any, dict[str, Any]], Any]] = {
    "ViTEncoder": _vit,
    "DeiTEncoder": _deit,
    "DINOV2Encoder": _dino,
    "DINOV3Encoder": _dino,
    "SigLIPVisionEmbedding": _embedding,
    "DINOV2Embedding": _embedding,
    "DINOV3Embedding": _embedding,
    "DINOV3RopePositionEmbedding": _rope,
}


def reason_of(error: Exception) -> str:
    """The first line of an error that says what is wrong, without Keras' bold type."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = (line.strip() for line in text.splitlines())
    told = (line for line in lines if line and not line.startswith("Exception encountered when"))
    return next(told, type(error).__name__)[:300].rstrip(".: ")


def _unreadable(preset: Preset, error: Exception) -> HeadstartError:
    return HeadstartError(
        f"The preset '{preset.folder}' cannot be opened: {reason_of(error)}. Expected a "
        f"{preset.kind} with its weights, as KerasHub wrote it. Fetch it anew, or update KerasHub."
    )


def _wrong_size(preset: Preset, image_size: tuple[int, int], error: Exception) -> HeadstartError:
    height, width = preset.shape
    made = f"{height} x {width}, the size it was made for" if height else "larger images"
    fixed = "could not be loaded" in str(error)  # so says Keras of weights of another shape
    why = "its weights are for one size alone" if fixed else reason_of(error)
    return HeadstartError(
        f"{preset.kind} cannot take images of {image_size[0]} x {image_size[1]} pixels: {why}. "
        f"Expected {made}. Choose that image size."
    )
