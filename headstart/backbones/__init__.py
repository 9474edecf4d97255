"""Pre-trained networks without classifier, each with the preprocessing of its weights.

`load_backbone` finds and checks the weights and loads no framework; `Backbone.build` makes the
Keras model, uint8 (n, height, width, 3) -> float32 (n, features).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.backbones import catalogue, hub, hub_network, hub_preset, own_model, own_network
from headstart.backbones.catalogue import BackboneInfo, find_backbone, list_backbones
from headstart.backbones.own_pixels import CHOICES
from headstart.backbones.settings import own_settings
from headstart.backbones.weights import file_digest, imagenet_weights, weights_here
from headstart.errors import HeadstartError
from headstart.frameworks import load_keras

__all__ = [
    "Backbone",
    "BackboneInfo",
    "build_classifier",
    "find_backbone",
    "is_path_or_preset",
    "list_backbones",
    "load_backbone",
    "short_name",
    "weights_here",
]

_SUFFIXES = {"package": (".pth", ".pt"), "keras": (".h5", ".hdf5", ".keras"), "seeded": ()}


@dataclass(frozen=True)
class Backbone:
    """A network and its weights, not built yet.

    Attributes:
        info: Which network.
        weights: The weights file, or None for random or seeded weights; the model file of an own
            model, the folder of a KerasHub preset.
        weights_digest: SHA-256 of that file (of all that counts in a preset), or a word for weights
            that come from no file; part of the key under which features are kept. Preprocessing
            that does not follow from an own model or a preset stands behind it.
        given: What was asked for where that is not in the catalogue: the path of a model file, or
            `hub:` and a preset.
    """

    info: BackboneInfo
    weights: Path | None
    weights_digest: str
    given: str = ""

    @property
    def name(self) -> str:
        """What `load_backbone` finds it by; `info.name` is for people, and for names of files."""
        return self.given or self.info.name

    def build(self, image_size: tuple[int, int], *, pooling: bool = True) -> Any:
        """Build the frozen Keras model; float32, whatever the caller has set for other models.

        Args:
            image_size: (height, width) in pixels.
            pooling: Whether to end with global average pooling (an own model with another kind of
                global pooling keeps its own; a transformer of KerasHub ends with its class token,
                its own pooling, or the average of its tokens).

        Returns:
            A functional model: uint8 (n, height, width, 3) RGB 0..255 -> float32 (n, features), or
            the last feature map (n, h, w, features) without pooling, of a transformer its tokens
            (n, tokens, features). Nothing in it is trainable.

        Raises:
            HeadstartError: The images are too small for it, or the weights do not fit or cannot be
                read.
        """
        _check_size(self.info, image_size)
        keras = load_keras()

        with own_settings():
            if self.info.source in ("own", "hub"):
                model = self._brought(image_size, pooling=pooling)
            else:
                model = self._network(image_size)
                if pooling:
                    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(model.output)
                    model = keras.Model(model.input, pooled, name=model.name)
        model.trainable = False
        return model

    def _brought(self, image_size: tuple[int, int], *, pooling: bool) -> Any:
        """The network of a model file or a preset, which has a pooling of its own."""
        assert self.weights is not None
        info = self.info
        if info.source == "own":
            return own_network.build(info, self.weights, image_size, pooling=pooling)
        preset, kind = hub_preset.read_preset(self.weights), info.preprocessing
        return hub_network.build(preset, info.name, image_size, kind, pooling=pooling)

    def _network(self, image_size: tuple[int, int]) -> Any:
        from headstart.backbones import efficientnet_lite, keras_applications, tiny
        from headstart.backbones.checkpoint import read_checkpoint

        if self.info.source == "seeded":
            return tiny.build(image_size)
        if self.info.source == "package":
            tensors = None if self.weights is None else read_checkpoint(self.weights)
            return efficientnet_lite.build(self.info.name, image_size, tensors)
        return keras_applications.build(self.info, image_size, self.weights)


def load_backbone(
    name: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = "imagenet",
    download: bool = True,
    preprocessing: str = "auto",
) -> Backbone:
    """Find a backbone and its weights.

    Loads no framework, unless there is something to download, or a model of the user's own or a
    preset that was never seen before.

    Args:
        name: A name of `list_backbones()` (case, dashes and underscores do not matter), the path of
            a trained Keras model (.keras, .h5, .hdf5), which is used without its classifier, or
            `hub:` with the name or the folder of a KerasHub preset.
        weights: `imagenet`, the path of a weights file, or None for random weights (the same each
            time). A trained model or a preset brings its own.
        download: Whether weights that are not here may be fetched.
        preprocessing: For a trained model, what it wants of pixels: `inside` (0 to 255), `tf` (-1
            to 1), `unit` (0 to 1), `caffe` or `torch` (as `keras.applications` does), or `auto`: by
            its first layers. For a preset without image converter likewise.

    Raises:
        HeadstartError: An unknown name, weights that cannot be had, or a model that cannot be used,
            with what to do.
        MissingExtra: A preset is asked for, and KerasHub is not installed.
    """
    name = os.fspath(name)
    _check_preprocessing(name, preprocessing)
    if hub.is_hub(name):
        return _preset(name, weights, preprocessing, download=download)
    if own_model.is_model_file(name):
        return _own(name, weights, preprocessing)
    info = find_backbone(name)
    if weights == "imagenet" and info.source != "seeded":
        return Backbone(info, *imagenet_weights(info, download=download))
    if weights is None or weights == "imagenet":
        return Backbone(info, None, "seeded" if info.source == "seeded" else "random")
    path = Path(weights).expanduser()
    if not path.is_file():
        raise HeadstartError(
            f"There is no weights file '{path}'. Expected 'imagenet' or the path of a file such as "
            f"{info.file or 'vgg16.h5'}. Check the path."
        )
    if path.suffix.lower() not in _SUFFIXES[info.source]:
        kinds = " or ".join(_SUFFIXES[info.source])
        raise HeadstartError(
            f"The weights file '{path}' cannot be used with {info.name}. Expected "
            f"{f'a file that ends in {kinds}' if kinds else 'none: its weights are made here'}. "
            "Give another file, or leave the weights out."
        )
    return Backbone(info, path, file_digest(path))


def is_path_or_preset(name: str) -> bool:
    """Whether `name` is the path of a model file or asks for a preset: not in the catalogue."""
    return own_model.is_model_file(name) or hub.is_hub(name)


def short_name(name: str) -> str:
    """What the backbone that `load_backbone` finds by `name` is called; no file is looked at."""
    if own_model.is_model_file(name):
        return own_model.plain_name(Path(name))
    if hub.is_hub(name):
        wanted = name.removeprefix(hub.SCHEME)
        return hub.plain_name(wanted, Path(wanted))
    return name if catalogue.is_brought(name) else find_backbone(name).name


def _check_preprocessing(name: str, preprocessing: str) -> None:
    if preprocessing not in CHOICES:
        raise HeadstartError(
            f"The preprocessing cannot be {preprocessing!r}. Expected one of: {', '.join(CHOICES)}."
        )
    if preprocessing != "auto" and not is_path_or_preset(name):
        info = find_backbone(name)
        raise HeadstartError(
            f"The preprocessing of {info.name} cannot be '{preprocessing}'. Expected 'auto': it "
            "belongs to its weights. Leave it out; it is for a model file of your own."
        )


def _own(name: str, weights: str | os.PathLike[str] | None, preprocessing: str) -> Backbone:
    if weights != "imagenet":
        raise HeadstartError(
            f"The model file '{name}' cannot take other weights ({weights}). Expected 'imagenet', "
            "the default: a trained model brings its own. Leave the weights out."
        )
    path = Path(name).expanduser()
    info, digest = own_model.describe(path, preprocessing)
    return Backbone(info, path, digest, name)


def _preset(
    name: str, weights: str | os.PathLike[str] | None, preprocessing: str, *, download: bool
) -> Backbone:
    if weights != "imagenet":
        raise HeadstartError(
            f"The preset '{name}' cannot take other weights ({weights}). Expected 'imagenet', the "
            "default: a preset brings its own. Leave the weights out."
        )
    return Backbone(*hub.describe(name, preprocessing, download=download), name)


def _check_size(info: BackboneInfo, image_size: tuple[int, int]) -> None:
    height, width = image_size
    if min(height, width) < info.least_size:
        raise HeadstartError(
            f"{info.name} cannot take images of {height} x {width} pixels. Expected at least "
            f"{info.least_size} x {info.least_size}; its weights were trained at "
            f"{info.image_size} x {info.image_size}. Choose a larger image size."
        )


def build_classifier(backbone: Backbone, image_size: tuple[int, int]) -> Any:
    """Build the whole ImageNet classifier of an EfficientNet-Lite.

    Args:
        backbone: An EfficientNet-Lite with weights.
        image_size: (height, width) in pixels.

    Returns:
        A Keras model: uint8 (n, height, width, 3) -> probabilities float32 (n, 1000), in ImageNet's
        order.

    Raises:
        HeadstartError: The backbone has no classifier here.
    """
    if backbone.info.source != "package" or backbone.weights is None:
        raise HeadstartError(
            f"{backbone.info.name} has no ImageNet classifier here. Expected efficientnet_lite0, "
            "1 or 2 with their weights. Use keras.applications for the others."
        )
    keras = load_keras()

    from headstart.backbones.checkpoint import read_checkpoint

    tensors = read_checkpoint(backbone.weights)
    model = backbone.build(image_size)
    with own_settings():
        head = keras.layers.Dense(1000, activation="softmax", name="predictions")
        classifier = keras.Model(model.input, head(model.output), name=model.name)
    try:
        head.set_weights([tensors["_fc.weight"].T, tensors["_fc.bias"]])
    except (KeyError, ValueError) as error:
        raise HeadstartError(
            f"The weights in '{backbone.weights}' have no ImageNet classifier. Expected _fc.weight "
            "(1000, 1280) and _fc.bias. Use the published checkpoint."
        ) from error
    return classifier
