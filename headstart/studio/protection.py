"""What the studio asks of a request beyond `web.guard`: a mark on each change, the link's token.

Cookies go with every request that a browser sends to this host, also those that another page
causes. So a change also needs the header `X-Headstart: studio`, which a page of another origin
cannot set without asking first, and with the cookie alone an `Origin` of ours. The token comes in
the printed link, goes into a cookie at once, and out of the address.
"""

from __future__ import annotations

import hmac
from http import HTTPStatus
from urllib.parse import parse_qs

from headstart.web.asgi import App, Message, Receive, Scope, Send, header, refuse

MARK = b"studio"
_SAFE = frozenset({"GET", "HEAD"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; manifest-src 'self'; "
    "worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A report is a document of its own, which brings its style and images with it and runs nothing.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-popups; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)


def cookie_name(port: int) -> str:
    """The cookie that holds the token; cookies do not tell ports apart, so the name does."""
    return f"headstart-{port}"


class Marked:
    """Refuses changes without the mark, or with a cookie and no origin; behind `Guard`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            bearer = header(scope, b"authorization") is not None
            if header(scope, b"x-headstart") != MARK:
                text = "A change needs the header X-Headstart: studio."
                await refuse(scope, send, 403, text, receive=receive)
                return
            if header(scope, b"origin") is None and not bearer:
                text = "A change needs the header Origin."
                await refuse(scope, send, 403, text, receive=receive)
                return
        await self._app(scope, receive, send)


class Dressed:
    """Puts the headers that protect a page on every answer, also on refusals.

    Parts of the page are asked for anew each time, so that none is older than the others.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        report = scope["type"] == "http" and scope["path"].endswith("/report.html")
        policy = (b"content-security-policy", (_REPORT_POLICY if report else _POLICY).encode())
        frames = (b"x-frame-options", b"SAMEORIGIN" if report else b"DENY")
        part = scope["type"] == "http" and scope["path"].startswith("/static/")
        fresh = ((b"cache-control", b"no-cache"),) if part else ()

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = (policy, frames, *fresh, *_HEADERS)
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        await self._app(scope, receive, dressed)


class Link:
    """Answers `/?token=…` with a cookie and a way to `/`; behind the check of the host.

    Args:
        app: Answers all else.
        page: Answers `/` itself, which needs no token and shows nothing without it.
        token: What the printed link brings.
        port: Of the server.
    """

    def __init__(self, app: App, page: App, token: str, port: int) -> None:
        self._app, self._page, self._token, self._port = app, page, token, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the printed link, or pass the request on."""
        query = scope.get("query_string", b"")
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] not in _SAFE:
            await self._app(scope, receive, send)
            return
        if b"token=" not in query:
            await self._page(scope, receive, send)
            return
        given = parse_qs(query.decode("latin-1")).get("token", [""])[0]
        headers = [(b"location", b"/"), (b"cache-control", b"no-store"), (b"content-length", b"0")]
        if hmac.compare_digest(given.encode(), self._token.encode()):
            cookie = f"{cookie_name(self._port)}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            headers.append((b"set-cookie", cookie.encode()))
        start = {"type": "http.response.start", "status": HTTPStatus.SEE_OTHER, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": b""})
