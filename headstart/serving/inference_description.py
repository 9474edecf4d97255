"""What the routes of the Open Inference Protocol take and answer, for OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from headstart.serving.description import SENDING, Responses, errors, name_of, told

_MODEL, _VERSION = name_of("The model.", "model"), name_of("Its version.", "version")
# Where a model is found, and the parameters that stand in the path.
PLACES: dict[str, list[dict[str, Any]]] = {
    "/models/{model}": [_MODEL],
    "/models/{model}/versions/{version}": [_MODEL, _VERSION],
}


class ServerReply(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class LiveReply(BaseModel):
    """Whether the server runs."""

    live: bool


class ReadyReply(BaseModel):
    """Whether all models can be asked."""

    ready: bool


class ModelReadyReply(BaseModel):
    """Whether a model can be asked."""

    name: str
    ready: bool


class TensorMetadata(BaseModel):
    """An input or output; -1 stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class MetadataReply(BaseModel):
    """The inputs and outputs of a model; a request has one of the inputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputReply(BaseModel):
    """An output; its data stand behind the JSON where `parameters` tell their size."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: list[float | str] | None = None


class InferReply(BaseModel):
    """The outputs for the images of a request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputReply]


SERVER = told(ServerReply)
LIVE = told(LiveReply)
READY = told(ReadyReply, ReadyReply)
MODEL_READY = told(ModelReadyReply, ModelReadyReply, 404)
METADATA = told(MetadataReply, None, 404)
INFERRED: Responses = {
    200: {
        "model": InferReply,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "description": "JSON; with binary outputs their bytes follow.",
        "headers": {
            "Inference-Header-Content-Length": {
                "description": "The length of the JSON, where bytes follow.",
                "schema": {"type": "integer"},
                "required": False,
            }
        },
    },
    **errors(*SENDING),
}

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 1}


def _tensor(name: str, datatype: str, sizes: int, data: dict[str, Any]) -> dict[str, Any]:
    """One tensor of a request, of so many sizes."""
    count = {"minItems": sizes, "maxItems": sizes}
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": name},
            "datatype": {"const": datatype},
            "shape": {"type": "array", "items": _COUNT, **count},
            "data": {"type": "array", **data},
        },
    }


_IMAGE = _tensor(
    "image",
    "BYTES",
    1,
    {
        "description": "Images in base64, as many as the shape says.",
        "items": {"type": "string", "format": "byte"},
    },
)
_PIXELS = _tensor(
    "pixels",
    "UINT8",
    4,
    {
        "description": "Flat, or in lists of the shape.",
        "items": {"type": "integer", "minimum": 0, "maximum": 255},
    },
)
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"enum": ["probabilities", "label"]},
        "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
    },
}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": _TEXT,
        "parameters": {
            "type": "object",
            "properties": {"binary_data_output": {"type": "boolean"}},
        },
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {"oneOf": [_IMAGE, _PIXELS]},
        },
        "outputs": {"type": "array", "items": _OUTPUT},
    },
}


def infer(parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """What a request for inference takes; with the extension bytes follow the JSON."""
    length = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "required": False,
        "description": "The length of the JSON, where binary tensor data follow.",
        "schema": {"type": "integer", "minimum": 1},
    }
    content: dict[str, Any] = {"application/json": {"schema": _REQUEST}}
    return {
        "parameters": [*parameters, length],
        "requestBody": {"required": True, "content": content},
    }
