"""The whole application: routes, errors and the pieces that stand before them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, HTMLResponse, Response

from headstart.errors import HeadstartError
from headstart.serving import kserve, routes
from headstart.serving.manual import manual
from headstart.serving.problem import Problem
from headstart.serving.replies import as_json
from headstart.serving.service import Service
from headstart.versions import installed_versions
from headstart.web.asgi import App, Receive, Scope, Send, header, refuse
from headstart.web.guard import Access, Guard, plain_origin
from headstart.web.limits import Bounds, Limits
from headstart.web.logs import DEFECT, RequestLog

_STATIC = Path(__file__).parent / "static"
_PAGES = {"/": "page.html", "/static/page.js": "page.js", "/static/page.css": "page.css"}
OPEN_PATHS = frozenset(
    {"/", "/static/", "/docs", "/openapi.json", "/health", "/v2/health/live", "/v2/health/ready"}
)
_QUIET = frozenset({"/health", "/metrics", "/v2/health/live", "/v2/health/ready"})
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_MOST_BODIES = 8  # of the largest size, that are held at once


def make_application(service: Service, hosts: Sequence[str]) -> App:
    """Put the application together.

    Args:
        service: What answers.
        hosts: What the Host header may be.

    Raises:
        HeadstartError: A host or origin is none, or the token cannot be used.
    """
    settings = service.settings
    bounds = Bounds(
        settings.max_body, settings.receive_timeout, _MOST_BODIES * max(settings.max_body, 1 << 25)
    )
    origins = tuple(plain_origin(one) for one in settings.allow_origins)
    access = Access(
        hosts=tuple(hosts),
        origins=origins,
        token=settings.token,
        open_paths=OPEN_PATHS,
    )
    app: App = Guard(_as_it_is(Limits(make_routes(service), bounds)), access)
    if origins:
        app = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=("X-Request-ID", "Retry-After", kserve.LENGTH),
        )

    def finished(scope: Scope, status: int, seconds: float) -> None:
        service.metrics.request(_route_of(scope), status, seconds)

    return RequestLog(app, finished=finished, quiet=_QUIET, requests=settings.log_requests)


def _as_it_is(app: App) -> App:
    """Refuse bodies that are compressed: whatever reads them would take them for broken images."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        encoding = (header(scope, b"content-encoding") or b"").strip().lower()
        if (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and encoding not in (b"", b"identity")
        ):
            text = "The body is compressed. Expected it as it is: images are small already."
            await refuse(scope, send, 415, text, receive=receive)
        else:
            await app(scope, receive, send)

    return checked


def _route_of(scope: Scope) -> str:
    """The route as it is written, so that a client cannot make up new ones."""
    return getattr(scope.get("route"), "path", "other")


def make_routes(service: Service) -> App:
    """The routes alone, which need no more than a request."""
    app = FastAPI(
        title="headstart",
        version=installed_versions()["headstart"],
        summary="Classify images.",
        docs_url=None,
        redoc_url=None,
    )
    for make in (
        routes.make_routes,
        kserve.make_inference_routes,
        routes.make_status_routes,
        kserve.make_status_routes,
    ):
        app.include_router(make(service))
    for path, name in _PAGES.items():
        app.get(path, include_in_schema=False)(_page(_STATIC / name))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(manual(app.openapi()), headers=_PAGE_HEADERS)

    _add_errors(app)
    return app


def _page(path: Path) -> Any:
    async def page() -> Response:
        return FileResponse(path, headers=_PAGE_HEADERS)

    return page


def _add_errors(app: FastAPI) -> None:
    """Every error has one form, that of the Open Inference Protocol."""

    async def problem(request: Request, error: Any) -> Response:
        reply = as_json({"error": str(error)}, error.status)
        reply.headers.update(error.headers)
        return reply

    async def bad_input(request: Request, error: Any) -> Response:
        return as_json({"error": str(error)}, 400)

    async def http(request: Request, error: Any) -> Response:
        reply = as_json({"error": str(error.detail)}, error.status_code)
        reply.headers.update(error.headers or {})
        return reply

    async def defect(request: Request, error: Any) -> Response:
        return as_json({"error": DEFECT}, 500)

    app.add_exception_handler(Exception, defect)  # which is raised again, to be logged
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HeadstartError, bad_input)
    app.add_exception_handler(HTTPException, http)
