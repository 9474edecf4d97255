"""Write the classifier as an ONNX file, in float32 or with 8 bits."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart.exporting.result import INPUT, OUTPUT
from headstart.exporting.tensorflow_writing import frozen_function, input_signature, quiet
from headstart.extras import require
from headstart.frameworks import load_keras
from headstart.images import Pixels

OPSET = 17
BATCH = "n"  # name of the first dimension
_PURPOSE = "exporting to ONNX"
# What is computed with 8 bits; the head stays in float32.
_QUANTIZED = ["Conv", "Add", "Clip", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool"]


def require_packages() -> None:
    """Ask for what it takes, before any work is done.

    Raises:
        MissingExtra: Something is not installed.
    """
    for module in ("onnx", "onnxruntime"):
        require(module, "export", _PURPOSE)
    load_keras()  # tf2onnx imports TensorFlow, which this keeps quiet
    require("tf2onnx", "export", _PURPOSE)


def write_onnx(model: Any, target: Path, about: Mapping[str, Any]) -> None:
    """Write an ONNX file with clean names, which its own checker accepts.

    Raises:
        HeadstartError: The network has operations that ONNX has not.
    """
    onnx = require("onnx", "export", _PURPOSE)
    convert = require("tf2onnx.convert", "export", _PURPOSE)
    with quiet("ONNX"), _logging_off("tf2onnx"):
        found, _ = convert.from_function(
            frozen_function(model), input_signature=input_signature(model), opset=OPSET
        )
        _replace_erfc(onnx, found.graph)
        _name_ends(found.graph)
        _describe(onnx, found, about)
        onnx.checker.check_model(found, full_check=True)
        onnx.save(found, str(target))


def write_onnx_int8(source: Path, target: Path, images: Sequence[Pixels]) -> None:
    """Write an ONNX file with 8-bit weights and activations (QDQ).

    Args:
        source: The file in float32.
        target: The file to write.
        images: What the ranges of the 8-bit numbers are found with.

    Raises:
        HeadstartError: It cannot be done.
    """
    onnx = require("onnx", "export", _PURPOSE)
    tools = require("onnxruntime.quantization", "export", _PURPOSE)
    shape_inference = require("onnxruntime.quantization.shape_inference", "export", _PURPOSE)
    fused = target.with_name(f"{target.name}.fused")
    with quiet("ONNX"), _logging_off(""):
        shape_inference.quant_pre_process(str(source), str(fused), skip_symbolic_shape=True)
        graph = onnx.load(str(fused)).graph
        tools.quantize_static(
            str(fused),
            str(target),
            _calibration(tools, images),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=_behind_pooling(graph),
        )
        fused.unlink()
        written, given = onnx.load(str(target)), onnx.load(str(source))
        _copy_description(written, given)
        onnx.checker.check_model(written, full_check=True)
        onnx.save(written, str(target))


def _behind_pooling(graph: Any) -> list[str]:
    """The names of all nodes behind the last convolution's pooling: the head."""
    last = max((at for at, node in enumerate(graph.node) if node.op_type == "Conv"), default=-1)
    pooled = next(
        (
            at
            for at, node in enumerate(graph.node)
            if at > last and node.op_type in ("GlobalAveragePool", "ReduceMean")
        ),
        len(graph.node),
    )
    return [node.name for node in graph.node[pooled + 1 :]]


def _calibration(tools: Any, images: Sequence[Pixels]) -> Any:
    class Reader(tools.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(images)

        def get_next(self) -> dict[str, Pixels] | None:
            image = next(self._left, None)
            return None if image is None else {INPUT: image[None]}

    return Reader()


def _replace_erfc(onnx: Any, graph: Any) -> None:
    """Write erfc(x), in TensorFlow's gelu, as 1 - erf(x): ONNX has no such operation."""
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type != "Erfc":
            graph.node.append(node)
            continue
        one, error = f"{node.name}_one", f"{node.name}_erf"
        value = onnx.helper.make_tensor(one, onnx.TensorProto.FLOAT, [], [1.0])
        graph.initializer.append(value)
        graph.node.append(onnx.helper.make_node("Erf", list(node.input), [error], name=error))
        graph.node.append(
            onnx.helper.make_node("Sub", [one, error], list(node.output), name=node.name)
        )


def _name_ends(graph: Any) -> None:
    """Give input, output and batch dimension names of their own."""
    named = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    for node in graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                names[at] = named.get(name, name)
    for value in (graph.input[0], graph.output[0]):
        value.name = named[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]  # with names of the batch dimension that are no longer true


def _describe(onnx: Any, model: Any, about: Mapping[str, Any]) -> None:
    model.producer_name, model.graph.name = "headstart", "classifier"
    model.doc_string = str(about["description"])
    values = {"labels": about["labels"], "about": about}
    onnx.helper.set_model_props(model, {name: json.dumps(one) for name, one in values.items()})


def _copy_description(model: Any, source: Any) -> None:
    model.producer_name, model.doc_string = source.producer_name, source.doc_string
    model.graph.name = source.graph.name
    del model.metadata_props[:]
    model.metadata_props.extend(source.metadata_props)


@contextmanager
def _logging_off(name: str) -> Iterator[None]:
    """Nothing but errors from a logger inside the block; "" is the root."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
