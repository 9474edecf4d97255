"""The application: routes over a `Studio`, errors as JSON, the page's files, the stream of events.

{"error": {"message": "What happened. Expected ... What to do."}}
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from headstart.errors import HeadstartError
from headstart.scan import encodable
from headstart.studio import collecting, understanding, working
from headstart.studio.answering import Busy
from headstart.studio.index import NotThere
from headstart.studio.project import Conflict
from headstart.studio.receiving import TooLarge
from headstart.studio.record import KINDS
from headstart.studio.state import Studio

_STATUS: tuple[tuple[type[HeadstartError], int], ...] = (
    (NotThere, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (Busy, 503),
    (HeadstartError, 400),
)


def make_app(studio: Studio) -> FastAPI:
    """The routes, without any check of who asks."""
    app = FastAPI(title="headstart studio", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(HeadstartError, _told)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_exception_handler(OSError, _refused)
    app.add_exception_handler(HTTPException, _unanswered)
    app.add_exception_handler(Exception, _broken)
    app.include_router(collecting.routes(studio))
    app.include_router(collecting.image_routes(studio))
    app.include_router(working.routes(studio))
    app.include_router(understanding.routes(studio))
    app.include_router(understanding.shipping_routes(studio))
    _add_overview(app, studio)
    _add_page(app, studio)
    return app


def _add_overview(app: FastAPI, studio: Studio) -> None:
    @app.get("/api/project")
    def project() -> dict[str, Any]:
        return studio.overview()

    @app.get("/api/images")
    def images(request: Request, offset: int = 0, limit: int = 500) -> dict[str, Any]:
        asked = request.query_params
        wanted = asked.get("class", ""), asked.get("finding", "")
        return studio.gallery(wanted, max(0, offset), max(0, min(limit, 5000)))

    @app.get("/api/events")
    def events() -> StreamingResponse:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_stream(studio), media_type="text/event-stream", headers=headers)


async def _stream(studio: Studio) -> AsyncIterator[str]:
    """The events as text; what holds now comes first."""
    yield f"retry: 1000\n\n{_event('project', {'version': studio.project.view.version})}"
    for kind in KINDS:
        running = studio.jobs.running(kind)
        if running is not None:
            yield _event("job", running.to_dict())
    async for one in studio.events.listen():
        yield ": quiet\n\n" if one is None else _event(*one)


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _add_page(app: FastAPI, studio: Studio) -> None:
    folder = Path(str(files("headstart.studio") / "static"))
    no_cache = {"Cache-Control": "no-cache"}

    @app.get("/")
    def index() -> FileResponse:
        return FileResponse(folder / "index.html", headers=no_cache)

    app.mount("/static", StaticFiles(directory=folder))


async def _told(request: Request, error: Exception) -> JSONResponse:
    status = next(code for kind, code in _STATUS if isinstance(error, kind))
    return _error(str(error), status)


def _error(text: str, status: int) -> JSONResponse:
    return JSONResponse({"error": {"message": encodable(text)}}, status)


async def _unanswered(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself says: no such address, no JSON."""
    status = getattr(error, "status_code", 400)
    return _error(f"{getattr(error, 'detail', error)}. Load the page again.", status)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    why = getattr(error, "strerror", None) or str(error)
    text = (
        f"The system refused: {why}. Expected a folder that can be read and written, and space. "
        "Check them."
    )
    return _error(text, 500)


async def _broken(request: Request, error: Exception) -> JSONResponse:
    """A defect; the server goes on, and its terminal says more."""
    text = f"{type(error).__name__}: {error}. This is a defect of headstart. Load the page again."
    return _error(text, 500)


async def _misunderstood(request: Request, error: Exception) -> JSONResponse:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    where = ".".join(str(one) for one in first.get("loc", ()))
    text = f"The request is not understood: {where}: {first.get('msg')}. Load the page again."
    return _error(text, 422)
