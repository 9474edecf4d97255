"""The whole classifier as one Keras model: uint8 images in, probabilities out.

The layers of the backbone are those of its catalogue, with its weights; after fine-tuning the
trained ones come out of the bundle. Nothing is rounded to float16 between its parts, as features
are where they are kept: that would cost up to 3e-4 of a probability wherever two runtimes round the
same number differently.
"""

from __future__ import annotations

import os
from typing import Any

from headstart.backbones import Backbone, load_backbone
from headstart.backbones.catalogue import OWN_PREFIX, is_brought
from headstart.backbones.settings import own_settings
from headstart.classifier import Classifier
from headstart.cut import call_again, cut_at
from headstart.errors import HeadstartError
from headstart.exporting.result import INPUT, OUTPUT
from headstart.frameworks import load_keras
from headstart.suffix import write_weights

Weights = str | os.PathLike[str] | None


def find_backbone_of(
    classifier: Classifier, weights: Weights = None, preprocessing: str = "auto"
) -> Backbone:
    """The backbone that a bundle was made with, not built yet.

    Args:
        classifier: Of the bundle.
        weights: A weights file; the model file of a model of the user's own, the folder or name of
            a preset. None looks where `fit` does.
        preprocessing: What the recipe says of a model of the user's own.

    Raises:
        HeadstartError: The weights are not here, or are others than those of the bundle.
    """
    identity, suffix = classifier.prefix.identity, classifier.prefix.suffix
    brought = is_brought(identity.backbone)
    if brought and weights is None:
        own = identity.backbone.startswith(OWN_PREFIX)
        what = "model file" if own else "preset"
        raise HeadstartError(
            f"The {what} of '{identity.backbone}' is not in the bundle, which has only the network "
            f"as OpenVINO runs it. Expected the {what} that headstart fit was given. Give it with "
            f"--weights {'FILE' if own else 'hub:NAME'}, or export --to openvino."
        )
    if suffix is not None and suffix.whole and not brought:
        return load_backbone(identity.backbone, weights=None)  # all its weights were trained
    if brought:
        backbone = load_backbone(str(weights), preprocessing=preprocessing)
    elif identity.weights_digest == "random":
        backbone = load_backbone(identity.backbone, weights=None)
    else:
        backbone = load_backbone(identity.backbone, weights=weights or "imagenet")
    _check_same(backbone, classifier)
    return backbone


def _check_same(backbone: Backbone, classifier: Classifier) -> None:
    identity = classifier.prefix.identity
    wanted, got = identity.weights_digest, backbone.weights_digest
    if wanted != got:
        raise HeadstartError(
            f"The weights found for '{identity.backbone}' are not those of the bundle. Expected "
            f"weights with the checksum {wanted[:16]}; found {got[:16]}. Give the file that the "
            "bundle was trained with by --weights FILE, or export --to openvino."
        )


def keras_classifier(classifier: Classifier, backbone: Backbone) -> Any:
    """Build the classifier: uint8 (n, height, width, 3) -> float32 (n, classes).

    Args:
        classifier: Of the bundle.
        backbone: As `find_backbone_of` gives it.

    Raises:
        HeadstartError: The weights do not fit.
    """
    keras, prefix = load_keras(), classifier.prefix
    model = backbone.build(classifier.image_size)
    with own_settings():
        images = keras.Input((*classifier.image_size, 3), dtype="uint8", name=INPUT)
        suffix = prefix.suffix
        if suffix is not None and suffix.whole:
            write_weights(model, suffix.weights)
            x = _again(model, images)
        elif suffix is not None:
            cut = cut_at(model, suffix.layer)
            write_weights(cut.suffix, suffix.weights)
            x = _again(cut.suffix, _again(cut.prefix, images))
        else:
            x = _again(model, images)
        probabilities = _head(x, classifier, {layer.name for layer in model.layers})
        built = keras.Model(images, probabilities, name="classifier")
    built.trainable = False
    return built


def _again(model: Any, x: Any) -> Any:
    """Call the layers of a model on another tensor: no model lies inside the one that is built."""

    def call(operation: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        return operation(*arguments, **keywords)

    return call_again(model, x, call)


def _head(x: Any, classifier: Classifier, taken: set[str]) -> Any:
    layers = load_keras().layers
    last = len(classifier.head.layers) - 1
    for number, (weights, bias) in enumerate(classifier.head.layers):
        name = OUTPUT if number == last else f"hidden_{number + 1}"
        while name in taken:
            name += "_"
        activation = "softmax" if number == last else "relu"
        dense = layers.Dense(len(bias), activation=activation, name=name)
        x = dense(x)
        dense.set_weights([weights, bias])
    return x


def check_plain(model: Any) -> None:
    """Make sure that plain Keras opens the model: every layer is one of Keras' own.

    Raises:
        HeadstartError: A layer comes from another package, or is a Lambda.
    """
    for layer in model.layers:
        package = type(layer).__module__.partition(".")[0]
        if package != "keras" or type(layer).__name__ == "Lambda":
            raise HeadstartError(
                f"The layer '{layer.name}' is a {type(layer).__name__} of the package "
                f"'{package}', which plain Keras does not open. Expected layers of Keras' own. "
                "Export to onnx, openvino, litert or saved_model."
            )
