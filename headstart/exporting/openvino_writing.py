"""Write the classifier as OpenVINO IR: the networks of the bundle joined, with the head behind.

Neither Keras nor TensorFlow, nor the weights file of the backbone, is needed for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.classifier import Classifier
from headstart.conversion import FILES
from headstart.engine import load_openvino, read_network
from headstart.errors import HeadstartError
from headstart.exporting.result import INPUT, OUTPUT
from headstart.exporting.tensorflow_writing import cannot_convert, quiet
from headstart.openvino_file import save_network, to_openvino


class FixedBatch(HeadstartError):
    """A network that was converted for one image at a time, and cannot be changed."""


def write_openvino(classifier: Classifier, target: Path, about: Mapping[str, Any]) -> None:
    """Write an .xml file, with the weights beside it as .bin, in float32.

    Raises:
        FixedBatch: The networks of the bundle cannot take several images at once.
        HeadstartError: OpenVINO cannot join them.
    """
    try:
        model = _join(classifier)
    except RuntimeError as error:
        raise cannot_convert("OpenVINO", error) from error
    _save(model, target, about)


def write_from_keras(model: Any, target: Path, about: Mapping[str, Any]) -> None:
    """Write the classifier in Keras as OpenVINO IR.

    Raises:
        HeadstartError: The network does something that OpenVINO cannot.
    """
    with quiet("OpenVINO"):
        converted = to_openvino(model, INPUT, batch=None)
    _save(converted, target, about)


def write_from_onnx(source: Path, target: Path, about: Mapping[str, Any]) -> None:
    """Write an ONNX file, as one with 8 bits, as OpenVINO IR.

    Raises:
        HeadstartError: OpenVINO cannot read it.
    """
    _save(read_network(source), target, about)


def _save(model: Any, target: Path, about: Mapping[str, Any]) -> None:
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    model.set_friendly_name("classifier")
    for name, value in (("labels", about["labels"]), ("about", about)):
        model.set_rt_info(json.dumps(value), ["headstart", name])
    save_network(model, target)


def _join(classifier: Classifier) -> Any:
    prefix = classifier.prefix
    trained = prefix.trained()
    if trained is not None and trained.whole:
        model = _batched(read_network(trained.converted()))
    else:
        model = _batched(read_network(prefix.converted() / FILES[0]))
    features = _last(model)
    if trained is not None and not trained.whole:
        behind = _batched(read_network(trained.converted()))
        for place in behind.inputs[0].get_target_inputs():
            place.replace_source_output(_last(model))
        features = _last(behind)
    head = _head(features, classifier)
    return load_openvino().Model([head], model.get_parameters(), "classifier")


def _last(model: Any) -> Any:
    """What a network gives, to go on from there."""
    return model.outputs[0].get_node().input_value(0)


def _batched(model: Any) -> Any:
    """The network for any number of images: it was converted for one."""
    model.reshape([-1, *list(model.inputs[0].get_partial_shape())[1:]])
    shape = model.outputs[0].get_partial_shape()
    if not shape[0].is_dynamic:
        raise FixedBatch(
            f"The network '{model.get_friendly_name()}' was converted for one image at a time and "
            "cannot take several. Expected its weights, to convert it anew. Give them with "
            "--weights."
        )
    return model


def _head(x: Any, classifier: Classifier) -> Any:
    by = load_openvino().opset13
    last = len(classifier.head.layers) - 1
    for number, (weights, bias) in enumerate(classifier.head.layers):
        x = by.add(by.matmul(x, by.constant(weights), False, False), by.constant(bias))
        x = by.relu(x) if number < last else by.softmax(x, 1)
    x.set_friendly_name(OUTPUT)
    return x
