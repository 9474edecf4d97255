"""Routes: trained models, their reports and maps, images to try, exports, comparisons."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from headstart.studio import shipping
from headstart.studio.state import Studio


class Wanted(BaseModel):
    """An export."""

    to: str = Field(max_length=30)
    int8: bool = False


def routes(studio: Studio) -> APIRouter:
    """The routes of a model."""
    router, models = APIRouter(prefix="/api/models"), studio.models

    @router.get("/{key}/report")
    def report(key: str) -> dict[str, Any]:
        return models.report(key, studio.project.refresh())

    @router.get("/{key}/report.html")
    def page(key: str) -> FileResponse:
        return FileResponse(models.page(key), media_type="text/html")

    @router.get("/{key}/images")
    def cell(request: Request, key: str) -> list[dict[str, Any]]:
        asked = request.query_params
        names = asked.get("true", ""), asked.get("answer", "")
        return models.cell(key, studio.project.refresh(), *names)

    @router.get("/{key}/map/{image}")
    async def drawn(request: Request, key: str, image: str, of: str | None = None) -> Response:
        folder = models.folder(key)
        tag = f'"{models.about(key)["checksum"]}"'
        # Not for ever: another model may have the number once this one is deleted.
        headers = {"Cache-Control": "private, no-cache", "ETag": tag}
        path: Path = studio.place.root / studio.project.view.image(image).path
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        content = await studio.answering.draw_map(folder, path, of)
        return Response(content, media_type="image/png", headers=headers)

    @router.post("/{key}/predict")
    async def predict(request: Request, key: str) -> dict[str, Any]:
        mapped = request.query_params.get("map", "") in ("1", "true")
        body = await request.body()
        return await studio.answering.predict(models.folder(key), body, mapped=mapped)

    return router


def shipping_routes(studio: Studio) -> APIRouter:
    """The routes of taking a model elsewhere."""
    router, models = APIRouter(prefix="/api/models"), studio.models

    @router.get("/{key}/compare/{other}")
    async def compare(key: str, other: str) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            studio.comparing,
            lambda: shipping.compare_models(models, studio.project.refresh(), key, other),
        )

    @router.post("/{key}/export")
    def export(key: str, given: Wanted) -> dict[str, Any]:
        return {"job": studio.export(key, given.to, int8=given.int8)}

    @router.get("/{key}/exported")
    def exports(key: str) -> dict[str, Any]:
        return studio.exports(key)

    @router.get("/{key}/exports/{name}")
    def download(key: str, name: str) -> FileResponse:
        models.folder(key)
        path = shipping.export_file(studio.place, key, name)
        return FileResponse(path, media_type="application/zip", filename=name)

    @router.get("/{key}/usage")
    def usage(key: str) -> dict[str, str]:
        return shipping.usage(models.folder(key))

    return router
