"""Routes: the project, its classes and images, uploads, undo."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import closing
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from headstart.studio import thumbnails, uploads
from headstart.studio.receiving import Receiver
from headstart.studio.state import Studio

_PIECE_SECONDS = 60.0  # that an upload may stand still
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
_GONE = 499  # as nginx calls a client that went away


class Name(BaseModel):
    """A class."""

    name: str = Field(max_length=1000)


class Rename(BaseModel):
    """A class and its new name."""

    name: str = Field(max_length=1000)
    to: str = Field(max_length=1000)


class Ids(BaseModel):
    """Some images."""

    ids: list[str] = Field(max_length=1_000_000)


class Moved(BaseModel):
    """Some images and the class they are meant for."""

    ids: list[str] = Field(max_length=1_000_000)
    class_name: str = Field(alias="class", max_length=1000)


class Step(BaseModel):
    """A step to undo."""

    undo: str = Field(max_length=100)


def routes(studio: Studio) -> APIRouter:
    """The routes of collecting images."""
    router, project = APIRouter(prefix="/api"), studio.project

    @router.post("/classes")
    def add_class(given: Name) -> dict[str, Any]:
        return {"name": project.add_class(given.name)} | _version(studio)

    @router.post("/classes/rename")
    def rename_class(given: Rename) -> dict[str, Any]:
        return {"undo": project.rename_class(given.name, given.to)} | _version(studio)

    @router.post("/classes/delete")
    def delete_class(given: Name) -> dict[str, Any]:
        return {"undo": project.delete_class(given.name)} | _version(studio)

    @router.post("/images/move")
    def move(given: Moved) -> dict[str, Any]:
        return {"undo": project.move(given.ids, given.class_name)} | _version(studio)

    @router.post("/images/delete")
    def delete(given: Ids) -> dict[str, Any]:
        return {"undo": project.delete(given.ids)} | _version(studio)

    @router.get("/undo")
    def steps() -> dict[str, Any]:
        return {"steps": project.steps()}

    @router.post("/undo")
    def undo(given: Step) -> dict[str, Any]:
        return project.undo(given.undo)._asdict() | _version(studio)

    return router


def image_routes(studio: Studio) -> APIRouter:
    """The routes of images: lists, thumbnails, uploads."""
    router = APIRouter(prefix="/api/images")

    @router.post("")
    async def upload(request: Request) -> dict[str, Any]:
        return await _upload(studio, request)

    @router.get("/{key}/thumbnail")
    async def thumbnail(request: Request, key: str) -> Response:
        return await _thumbnail(studio, request, key)

    @router.get("/{key}/full")
    async def full(key: str) -> Response:
        path = studio.place.root / studio.project.view.image(key).path
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(studio.drawing, thumbnails.large, path)
        return Response(content, media_type="image/jpeg", headers=FOREVER)

    return router


def _version(studio: Studio) -> dict[str, Any]:
    return {"version": studio.project.view.version}


async def _upload(studio: Studio, request: Request) -> dict[str, Any]:
    folder = studio.place.incoming / secrets.token_hex(8)
    with closing(Receiver(request.headers.get("content-type", ""), folder)) as receiver:
        pieces = request.stream()
        while True:
            try:
                piece = await asyncio.wait_for(anext(pieces), _PIECE_SECONDS)
            except StopAsyncIteration:
                break
            await run_in_threadpool(receiver.feed, piece)
        taken = await run_in_threadpool(
            uploads.take,
            studio.project,
            studio.thumbnails,
            receiver.finish(),
            request.query_params.get("class", ""),
        )
    return taken.to_dict() | _version(studio)


async def _thumbnail(studio: Studio, request: Request, key: str) -> Response:
    image = studio.project.view.image(key)
    kept = studio.thumbnails.kept(image.file)
    if not kept.is_file():
        if await request.is_disconnected():  # the page was scrolled on
            return Response(status_code=_GONE)
        path: Path = studio.place.root / image.path
        loop = asyncio.get_running_loop()
        make = studio.thumbnails.make
        kept = await loop.run_in_executor(studio.drawing, make, path, image.file)
    return FileResponse(kept, media_type="image/webp", headers=FOREVER)
