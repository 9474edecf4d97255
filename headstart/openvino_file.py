"""Write a Keras model as OpenVINO IR, which is what `OpenVINOEngine` runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from headstart.engine import load_openvino
from headstart.errors import HeadstartError


def convert(model: Any, target: Path) -> None:
    """Write a Keras model as OpenVINO IR for images one at a time.

    Args:
        model: One input, uint8 (n, height, width, 3) or float32 (n, ...); one output float32.
        target: The `.xml` file to write; the weights go beside it as `.bin`, in float32.

    Raises:
        HeadstartError: The network does something that OpenVINO cannot.
        OSError: There is no space for the files, or no permission to write them.
    """
    name = "image" if model.inputs[0].dtype == "uint8" else "boundary"
    converted = to_openvino(model, name, batch=1)
    converted.input(0).get_tensor().set_names({name})
    converted.output(0).get_tensor().set_names({"features"})
    save_network(converted, target)


def save_network(model: Any, target: Path) -> None:
    """Write a network of OpenVINO's as `.xml`, with its weights beside it as `.bin`, in float32.

    Raises:
        OSError: There is no space for the files, or no permission to write them.
    """
    try:
        load_openvino().save_model(model, os.fspath(target), compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(f"OpenVINO cannot write '{target}': {error}") from error


def to_openvino(model: Any, name: str, batch: int | None) -> Any:
    """Convert a Keras model in memory.

    Args:
        model: With one input and one output.
        name: Of its input.
        batch: For how many at a time; None is any number.

    Raises:
        HeadstartError: The network does something that OpenVINO cannot.
    """
    openvino = load_openvino()
    import tensorflow
    from openvino.frontend import FrontEndManager
    from openvino.frontend.tensorflow.utils import create_tf_graph_iterator

    (given,) = model.inputs
    signature = [tensorflow.TensorSpec((batch, *given.shape[1:]), given.dtype, name=name)]
    call = tensorflow.function(
        lambda image: model(image, training=False), input_signature=signature
    )
    concrete = call.get_concrete_function()
    # openvino.convert_model does the same and reports each use to its makers over the network.
    graph = create_tf_graph_iterator(concrete, None, None, None, True)
    frontend = FrontEndManager().load_by_framework("tf")
    try:
        converted = frontend.convert(frontend.load(graph))
    except Exception as error:  # its errors are of a private kind, below Exception
        raise _not_convertible(model, error) from error
    if len(converted.outputs) == 1:
        return converted
    # Numbers that a layer computes for nobody, as MultiHeadAttention does, come out as well.
    features = converted.output(concrete.outputs[0].name).get_node()
    return openvino.Model([features], converted.get_parameters(), model.name)


def _not_convertible(model: Any, error: Exception) -> HeadstartError:
    lines = [line.strip("- ").rstrip(". ") for line in str(error).splitlines()]
    why = next((line for line in lines if line.startswith("No conversion rule")), lines[0])
    return HeadstartError(
        f"OpenVINO cannot run '{model.name}': {why[:300]}. Expected a network of operations that "
        "it knows. Use another backbone."
    )
