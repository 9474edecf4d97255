"""The tensors of the Open Inference Protocol: a request's body in, images out, and back.

Inputs are either `image`, BYTES [n] of encoded images, or `pixels`, UINT8 [n, height, width, 3].
In JSON the former are base64. With the binary tensor data extension the JSON comes first, as long
as `Inference-Header-Content-Length` says, and the tensors follow as raw bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.images import Pixels
from headstart.serving.batcher import Encoded
from headstart.serving.problem import Problem

MOST_JSON = 8 << 20  # bytes; more would hold the event loop for too long
INPUTS = {"image": "BYTES", "pixels": "UINT8"}
OUTPUTS = {"probabilities": "FP32", "label": "BYTES"}
_SIZE = "binary_data_size"


@dataclass(frozen=True)
class Wanted:
    """An output that is asked for, and whether as raw bytes."""

    name: str
    binary: bool


@dataclass(frozen=True)
class Asked:
    """A request: its id, the images, and the outputs that are wanted."""

    id: str | None
    images: list[Encoded]
    outputs: list[Wanted]


def read_request(body: bytes, header_length: str | None) -> Asked:
    """Take a request apart.

    Raises:
        Problem: It is not as the protocol says, or asks for what there is not.
    """
    length = _header_length(body, header_length)
    if length > MOST_JSON:
        raise Problem(
            413, f"The JSON is too large: at most {MOST_JSON >> 20} MB. Send binary tensor data."
        )
    try:
        values = json.loads(body[:length].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _wrong(f"the JSON cannot be read: {str(error)[:200]}") from error
    asked = _object(values, "the request")
    inputs = asked.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise _wrong(f"'inputs' has to be a list of one tensor: {' or '.join(INPUTS)}")
    raw = memoryview(body)[length:]
    images = _images(_object(inputs[0], "an input"), raw)
    given = asked.get("id")
    if given is not None and not isinstance(given, str):
        raise _wrong("'id' has to be a string")
    return Asked(given, images, _wanted(asked))


def _header_length(body: bytes, given: str | None) -> int:
    if given is None:
        return len(body)
    if not (given.isascii() and given.isdigit() and len(given) < 12) or int(given) > len(body):
        raise _wrong("Inference-Header-Content-Length has to be the length of the JSON")
    return int(given)


def _wanted(asked: Mapping[str, Any]) -> list[Wanted]:
    binary = _flag(_parameters(asked), "binary_data_output", False)
    outputs = asked.get("outputs")
    if outputs is None:
        outputs = []
    if not isinstance(outputs, list):
        raise _wrong("'outputs' has to be a list")
    return [_one_wanted(_object(one, "an output"), binary) for one in outputs] or [
        Wanted(name, binary) for name in OUTPUTS
    ]


def _one_wanted(output: Mapping[str, Any], binary: bool) -> Wanted:
    name, parameters = output.get("name"), _parameters(output)
    if name not in OUTPUTS:
        raise _wrong(f"there is no such output. Expected {' or '.join(OUTPUTS)}")
    for one in ("classification", "shared_memory_region"):
        if one in parameters:
            raise _wrong(f"the parameter '{one}' of an output is not offered")
    return Wanted(name, _flag(parameters, "binary_data", binary))


def _flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(f"the parameter '{name}' has to be true or false")
    return value


def _parameters(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return _object(values.get("parameters", {}), "'parameters'")


def _images(given: Mapping[str, Any], raw: memoryview) -> list[Encoded]:
    name, kind, shape = given.get("name"), given.get("datatype"), given.get("shape")
    if not isinstance(name, str) or name not in INPUTS:
        raise _wrong(f"there is no such input. Expected {' or '.join(INPUTS)}")
    if kind != INPUTS[name]:
        raise _wrong(f"'{name}' has the datatype {INPUTS[name]}")
    shape = _shape(name, shape)
    parameters = _parameters(given)
    if _SIZE in parameters:
        size = parameters[_SIZE]
        if type(size) is not int or size != len(raw) or "data" in given:
            raise _wrong(f"'{_SIZE}' has to be that of the bytes behind the JSON, without 'data'")
        return _elements(raw, shape[0]) if name == "image" else _arrays(raw, shape)
    if len(raw):
        raise _wrong(f"there are bytes behind the JSON, and no '{_SIZE}'")
    data = given.get("data")
    if not isinstance(data, list):
        raise _wrong("'data' of an input has to be a list")
    return _encoded(data, shape[0]) if name == "image" else _from_lists(data, shape)


def _shape(name: str, shape: Any) -> list[int]:
    whole = isinstance(shape, list) and all(type(one) is int and one > 0 for one in shape)
    if whole and name == "image" and len(shape) == 1:
        return list(shape)
    if whole and name == "pixels" and len(shape) == 4 and shape[3] == 3:
        return list(shape)
    expected = {"image": "[n]", "pixels": "[n, height, width, 3]"}[name]
    raise _wrong(f"the shape of '{name}' has to be {expected}, each 1 or more")


def _elements(raw: memoryview, count: int) -> list[Encoded]:
    """BYTES: of each element its length, as 4 bytes, and its bytes."""
    found: list[Encoded] = []
    at = 0
    while at < len(raw) and len(found) < count:
        if at + 4 > len(raw):
            break
        (length,) = struct.unpack_from("<I", raw, at)
        found.append(bytes(raw[at + 4 : at + 4 + length]))
        at += 4 + length
    if at != len(raw) or len(found) != count:
        raise _wrong(f"the bytes of 'image' are not {count} elements, each behind its length")
    return found


def _arrays(raw: memoryview, shape: list[int]) -> list[Encoded]:
    if len(raw) != math.prod(shape):
        raise _wrong(f"'pixels' has {len(raw)} bytes, and its shape {math.prod(shape)}")
    return list(np.frombuffer(raw, np.uint8).reshape(shape))


def _encoded(data: list[Any], count: int) -> list[Encoded]:
    flat = _flattened(data)
    if len(flat) != count or not all(isinstance(one, str) for one in flat):
        raise _wrong(f"'data' of 'image' has to be {count} strings, as its shape says")
    try:
        return [base64.b64decode(one, validate=True) for one in flat]
    except (binascii.Error, ValueError) as error:
        raise _wrong(f"'data' of 'image' has to be base64: {str(error)[:100]}") from error


def _flattened(data: list[Any]) -> list[Any]:
    """Of a list in a list, as some clients send it, the inner one."""
    return data[0] if len(data) == 1 and isinstance(data[0], list) else data


def _from_lists(data: list[Any], shape: list[int]) -> list[Encoded]:
    try:
        values = np.asarray(data)
    except (ValueError, RecursionError) as error:
        raise _wrong("'data' of 'pixels' is not of one shape") from error
    fits = values.size == math.prod(shape) and values.shape in (tuple(shape), (values.size,))
    if values.dtype.kind not in "iu" or not fits:
        raise _wrong("'data' of 'pixels' has to be whole numbers, as many as its shape says")
    if values.min() < 0 or values.max() > 255:
        raise _wrong("'data' of 'pixels' has to be from 0 to 255")
    pixels: Pixels = values.astype(np.uint8).reshape(shape)
    return list(pixels)


def _object(values: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise _wrong(f"{what} has to be an object")
    return values


def _wrong(text: str) -> Problem:
    return Problem(400, f"{text[0].upper()}{text[1:]}.")


def write_reply(
    about: Mapping[str, Any],
    asked: Asked,
    probabilities: npt.NDArray[np.float32],
    labels: list[str],
) -> tuple[bytes, int | None]:
    """Put an answer together.

    Args:
        about: Model, version and id.
        asked: Which outputs are wanted.
        probabilities: float32 (n, classes).
        labels: The most probable class of each.

    Returns:
        The body, and the length of its JSON where raw bytes follow.
    """
    outputs: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for wanted in asked.outputs:
        is_label = wanted.name == "label"
        shape = [len(labels)] if is_label else list(probabilities.shape)
        output: dict[str, Any] = {
            "name": wanted.name,
            "shape": shape,
            "datatype": OUTPUTS[wanted.name],
        }
        if wanted.binary:
            data = _label_bytes(labels) if is_label else probabilities.astype("<f4").tobytes()
            raw.append(data)
            output["parameters"] = {_SIZE: len(data)}
        else:
            output["data"] = labels if is_label else probabilities.ravel().tolist()
        outputs.append(output)
    head = json.dumps({**about, "outputs": outputs}, allow_nan=False).encode()
    return b"".join([head, *raw]), len(head) if raw else None


def _label_bytes(labels: list[str]) -> bytes:
    encoded = [label.encode("utf-8", "backslashreplace") for label in labels]
    return b"".join(struct.pack("<I", len(one)) + one for one in encoded)
