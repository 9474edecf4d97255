"""Pre-trained networks without classifier, each with the preprocessing of its weights.

`load_backbone` finds and checks the weights and loads no framework; `Backbone.build` makes the
Keras model, uint8 (n, height, width, 3) -> float32 (n, features).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.backbones.catalogue import BackboneInfo, find_backbone, list_backbones
from headstart.backbones.weights import file_digest, imagenet_weights, weights_here
from headstart.errors import HeadstartError
from headstart.frameworks import load_keras

__all__ = [
    "Backbone",
    "BackboneInfo",
    "build_classifier",
    "find_backbone",
    "list_backbones",
    "load_backbone",
    "weights_here",
]

_SUFFIXES = {"package": (".pth", ".pt"), "keras": (".h5", ".hdf5", ".keras"), "seeded": ()}


@dataclass(frozen=True)
class Backbone:
    """A network and its weights, not built yet.

    Attributes:
        info: Which network.
        weights: The weights file, or None for random or seeded weights.
        weights_digest: SHA-256 of that file, or a word for weights that come from no file; part of
            the key under which features are kept.
    """

    info: BackboneInfo
    weights: Path | None
    weights_digest: str

    def build(self, image_size: tuple[int, int], *, pooling: bool = True) -> Any:
        """Build the frozen Keras model; float32, whatever the caller has set for other models.

        Args:
            image_size: (height, width) in pixels.
            pooling: Whether to end with global average pooling.

        Returns:
            A functional model: uint8 (n, height, width, 3) RGB 0..255 -> float32 (n, features), or
            the last feature map (n, h, w, features) without pooling. Nothing in it is trainable.

        Raises:
            HeadstartError: The images are too small for it, or the weights do not fit or cannot be
                read.
        """
        _check_size(self.info, image_size)
        keras = load_keras()

        with _own_settings():
            model = self._network(image_size)
            if pooling:
                pooled = keras.layers.GlobalAveragePooling2D(name="pool")(model.output)
                model = keras.Model(model.input, pooled, name=model.name)
        model.trainable = False
        return model

    def _network(self, image_size: tuple[int, int]) -> Any:
        from headstart.backbones import efficientnet_lite, keras_applications, tiny
        from headstart.backbones.checkpoint import read_checkpoint

        if self.info.source == "seeded":
            return tiny.build(image_size)
        if self.info.source == "package":
            tensors = None if self.weights is None else read_checkpoint(self.weights)
            return efficientnet_lite.build(self.info.name, image_size, tensors)
        return keras_applications.build(self.info, image_size, self.weights)


@contextmanager
def _own_settings() -> Iterator[None]:
    """Usual settings and the same random weights each time, then the caller's settings again.

    Initialisers of Keras draw their seeds from Python's `random`.
    """
    keras = load_keras()

    policy, data_format = keras.config.dtype_policy(), keras.config.image_data_format()
    state = random.getstate()
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(state)
        keras.config.set_image_data_format(data_format)
        keras.config.set_dtype_policy(policy)


def load_backbone(
    name: str, *, weights: str | os.PathLike[str] | None = "imagenet", download: bool = True
) -> Backbone:
    """Find a backbone and its weights; loads no framework, unless there is something to download.

    Args:
        name: A name of `list_backbones()`; case, dashes and underscores do not matter.
        weights: `imagenet`, the path of a weights file, or None for random weights (the same each
            time).
        download: Whether weights that are not here may be fetched.

    Raises:
        HeadstartError: An unknown name, or weights that cannot be had, with what to do.
    """
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
    with _own_settings():
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
