"""The routes of headstart's own: predictions, maps, models, health, metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from headstart.images import BadImage
from headstart.scan import display
from headstart.serving import description
from headstart.serving.problem import Problem, too_many_images
from headstart.serving.replies import (
    DEFAULT_TOP,
    MOST_TOP,
    HealthReply,
    ModelsReply,
    as_json,
    model_values,
    prediction_values,
)
from headstart.serving.service import Answers, Service
from headstart.web.logs import REQUEST_ID

_LONGEST_NAME = 255


def make_routes(service: Service) -> APIRouter:
    """The routes that take images."""
    router = APIRouter()

    async def predict(request: Request) -> Response:
        """Classify the image in the body, or each of the images of a form.

        What kind of image it is, is told by its content.
        """
        return await _predict(service, request)

    async def explain(request: Request) -> Response:
        """Draw over the image what in it speaks for a class."""
        version = service.version(request.path_params.get("name"))
        if _is_form(request):
            raise Problem(
                400, "This is a form. Expected one image, as the body: maps are made one by one."
            )
        class_name = request.query_params.get("class") or None
        found = await service.explain(version, await _body(request), class_name, request.receive)
        return Response(found, media_type="image/png")

    for path, extra in (
        ("/predict", description.PREDICT),
        ("/models/{name}/predict", description.PREDICT_NAMED),
    ):
        router.post(path, responses=description.PREDICTED, openapi_extra=extra)(predict)
    for path, extra in (
        ("/explain", description.EXPLAIN),
        ("/models/{name}/explain", description.EXPLAIN_NAMED),
    ):
        router.post(path, responses=description.EXPLAINED, openapi_extra=extra)(explain)
    return router


def make_status_routes(service: Service) -> APIRouter:
    """The routes that tell of the server."""
    router = APIRouter()

    @router.get("/models", responses=description.told(ModelsReply))
    async def models() -> Response:
        """Tell all models, the default first."""
        return as_json(
            {"models": [model_values(service.version(name)) for name in service.models.names()]}
        )

    @router.get("/health", responses=description.told(HealthReply, HealthReply))
    async def health() -> Response:
        """Tell whether the server answers."""
        versions = {name: service.version(name).version for name in service.models.names()}
        status = "stopping" if service.stopping else "ok"
        return as_json({"status": status, "models": versions}, 503 if service.stopping else 200)

    @router.get("/metrics", responses=description.METRICS)
    async def metrics() -> Response:
        """Tell the figures that Prometheus reads."""
        text, kind = service.metrics.text()
        return Response(text, headers={"content-type": kind})

    return router


async def _predict(service: Service, request: Request) -> Response:
    version = service.version(request.path_params.get("name"))
    top = _top(request)
    several = _is_form(request)
    names, images = await _form(request, service) if several else ([], [await _body(request)])
    answers = await service.predict(version, images, request.receive)
    about = {
        "model": answers.version.name,
        "version": answers.version.version,
        "request_id": request.scope["state"][REQUEST_ID],
    }
    if several:
        return as_json({"predictions": _items(answers, names, top), **about})
    (outcome,) = answers.outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return as_json({**prediction_values(outcome, top), **about})


def _items(answers: Answers, names: list[str], top: int) -> list[dict[str, Any]]:
    return [
        {"name": name, "error": str(outcome)}
        if isinstance(outcome, Exception)
        else {"name": name, **prediction_values(outcome, top)}
        for name, outcome in zip(names, answers.outcomes, strict=True)
    ]


def _top(request: Request) -> int:
    given = request.query_params.get("top", str(DEFAULT_TOP))
    if given.isascii() and given.isdigit() and len(given) <= 4 and 1 <= int(given) <= MOST_TOP:
        return int(given)
    raise Problem(400, f"top is '{given[:20]}'. Expected a number from 1 to {MOST_TOP}.")


async def _body(request: Request) -> bytes:
    body = await request.body()
    if not body:
        raise BadImage("The body is empty. Expected an image.")
    return body


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def _form(request: Request, service: Service) -> tuple[list[str], list[bytes]]:
    """The names and contents of the files of a form."""
    most = service.settings.max_images
    names: list[str] = []
    images: list[bytes] = []
    try:
        async with request.form(max_files=most, max_fields=most) as form:
            for _, value in form.multi_items():
                if isinstance(value, UploadFile):
                    names.append(display(value.filename or "")[:_LONGEST_NAME])
                    images.append(await value.read())
    except HTTPException as error:
        if error.detail.startswith("Too many files"):
            raise too_many_images(most) from error
        raise
    if not images:
        raise Problem(400, "There is no file in the form. Expected one or more images.")
    return names, images
