"""The routes of the Open Inference Protocol, version 2, as KServe and Triton speak it.

https://github.com/kserve/open-inference-protocol, with the extension for binary tensor data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from headstart.answers import Prediction
from headstart.serving import inference_description as description
from headstart.serving.problem import Problem
from headstart.serving.replies import as_json
from headstart.serving.service import Answers, Service
from headstart.serving.tensors import INPUTS, Asked, read_request, write_reply
from headstart.versions import installed_versions

LENGTH = "inference-header-content-length"


def make_status_routes(service: Service) -> APIRouter:
    """The routes that tell of the server."""
    router = APIRouter(prefix="/v2")

    @router.get("", responses=description.SERVER)
    async def server() -> Response:
        """Tell what the server is."""
        version = installed_versions()["headstart"]
        extensions = ["binary_tensor_data"]
        return as_json({"name": "headstart", "version": version, "extensions": extensions})

    @router.get("/health/live", responses=description.LIVE)
    async def live() -> Response:
        """Tell that the server runs."""
        return as_json({"live": True})

    @router.get("/health/ready", responses=description.READY)
    async def ready() -> Response:
        """Tell whether all models can be asked."""
        return _ready(service, {})

    return router


def make_inference_routes(service: Service) -> APIRouter:
    """The routes of the models."""
    router = APIRouter(prefix="/v2")

    async def metadata(request: Request) -> Response:
        """Tell the inputs and outputs of a model."""
        return as_json(_metadata(service, request))

    async def model_ready(request: Request) -> Response:
        """Tell whether a model can be asked."""
        version = service.version(*_named(request))
        return _ready(service, {"name": version.name})

    async def infer(request: Request) -> Response:
        """Classify images: as BYTES, each an encoded image, or as UINT8 pixels."""
        return await _infer(service, request)

    for path, extra in description.PLACES.items():
        router.post(
            f"{path}/infer", responses=description.INFERRED, openapi_extra=description.infer(extra)
        )(infer)
        router.get(
            f"{path}/ready", responses=description.MODEL_READY, openapi_extra={"parameters": extra}
        )(model_ready)
        router.get(path, responses=description.METADATA, openapi_extra={"parameters": extra})(
            metadata
        )
    return router


def _named(request: Request) -> tuple[str, str | None]:
    return request.path_params["model"], request.path_params.get("version")


def _ready(service: Service, about: dict[str, Any]) -> Response:
    ready = not service.stopping
    return as_json({**about, "ready": ready}, 200 if ready else 503)


def _metadata(service: Service, request: Request) -> dict[str, Any]:
    version = service.version(*_named(request))
    classes = len(version.classifier.class_names)
    shapes = {"image": [-1], "pixels": [-1, -1, -1, 3]}
    return {
        "name": version.name,
        "versions": [version.version],
        "platform": "headstart",
        "inputs": [
            {"name": name, "datatype": kind, "shape": shapes[name]} for name, kind in INPUTS.items()
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ],
    }


async def _infer(service: Service, request: Request) -> Response:
    version = service.version(*_named(request))
    asked = read_request(await request.body(), request.headers.get(LENGTH))
    answers = await service.predict(version, asked.images, request.receive)
    body, length = _reply(asked, answers)
    if length is None:
        return Response(body, media_type="application/json")
    return Response(body, media_type="application/octet-stream", headers={LENGTH: str(length)})


def _reply(asked: Asked, answers: Answers) -> tuple[bytes, int | None]:
    names = answers.version.classifier.class_names
    rows: list[list[float]] = []
    labels: list[str] = []
    for number, outcome in enumerate(answers.outcomes, start=1):
        if not isinstance(outcome, Prediction):
            raise Problem(400, f"image {number}: {outcome}")
        rows.append([outcome.probabilities[name] for name in names])
        labels.append(outcome.label)
    about: dict[str, Any] = {
        "model_name": answers.version.name,
        "model_version": answers.version.version,
    }
    if asked.id is not None:
        about["id"] = asked.id
    return write_reply(about, asked, np.array(rows, np.float32), labels)
