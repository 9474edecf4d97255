"""Write the classifier as OpenVINO IR: the networks of the bundle joined, with the head behind.

Neither Keras nor TensorFlow, nor the weights file of the backbone, is needed for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from headstart.classifier import Classifier
from headstart.conversion import FILES
from headstart.engine import load_openvino, read_network
from headstart.errors import HeadstartError
from headstart.exporting.result import INPUT, OUTPUT
from headstart.exporting.rounding import to_half
from headstart.exporting.tensorflow_writing import cannot_convert


def write_openvino(classifier: Classifier, target: Path, about: Mapping[str, Any]) -> None:
    """Write an .xml file, with the weights beside it as .bin, in float32.

    Raises:
        HeadstartError: The networks cannot take several images at once.
    """
    openvino = load_openvino()
    try:
        model = _join(classifier)
    except RuntimeError as error:
        raise cannot_convert("OpenVINO", error) from error
    _save(openvino, model, target, about)


def write_from_onnx(source: Path, target: Path, about: Mapping[str, Any]) -> None:
    """Write an ONNX file, as one with 8 bits, as OpenVINO IR.

    Raises:
        HeadstartError: OpenVINO cannot read it.
    """
    _save(load_openvino(), read_network(source), target, about)


def _save(openvino: Any, model: Any, target: Path, about: Mapping[str, Any]) -> None:
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    model.set_friendly_name("classifier")
    for name, value in (("labels", about["labels"]), ("about", about)):
        model.set_rt_info(json.dumps(value), ["headstart", name])
    try:
        openvino.save_model(model, str(target), compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(f"OpenVINO cannot write '{target}': {error}") from error


def _join(classifier: Classifier) -> Any:
    prefix = classifier.prefix
    trained = prefix.trained()
    if trained is None:
        model = _batched(read_network(prefix.converted() / FILES[0]))
    elif trained.whole:
        model = _batched(read_network(trained.converted()))
    else:
        model = _batched(read_network(prefix.converted() / FILES[0]))
        behind = _batched(read_network(trained.converted()))
        begin = to_half(model.outputs[0].get_node().input_value(0), _operations())
        for place in behind.inputs[0].get_target_inputs():
            place.replace_source_output(begin.output(0))
        model = load_openvino().Model([_result(behind)], model.get_parameters(), "classifier")
    features = to_half(model.outputs[0].get_node().input_value(0), _operations())
    head = _head(features, classifier)
    return load_openvino().Model([head], model.get_parameters(), "classifier")


def _result(model: Any) -> Any:
    return model.outputs[0].get_node().input_value(0)


def _batched(model: Any) -> Any:
    """The network for any number of images: it was converted for one."""
    model.reshape([-1, *list(model.inputs[0].get_partial_shape())[1:]])
    shape = model.outputs[0].get_partial_shape()
    if not shape[0].is_dynamic:
        raise HeadstartError(
            f"The network '{model.get_friendly_name()}' was converted for one image at a time and "
            "cannot take several. Expected one without a fixed number of images inside. Export to "
            "another format."
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


def _operations() -> Any:
    """The operations that rounding takes, on nodes."""
    by = load_openvino().opset13

    def number(value: Any) -> Any:
        return by.constant(np.float32(value)) if isinstance(value, float) else value

    return SimpleNamespace(
        abs=by.absolute,
        log=by.log,
        floor=by.floor,
        round=lambda x: by.round(x, "half_to_even"),
        maximum=lambda x, y: by.maximum(x, number(y)),
        multiply=lambda x, y: by.multiply(x, number(y)),
        divide=lambda x, y: by.divide(x, y),
        subtract=lambda x, y: by.subtract(x, number(y)),
        power=lambda x, y: by.power(number(x), y),
    )
