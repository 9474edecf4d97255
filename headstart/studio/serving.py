"""Run the studio on this machine: the checks around its routes, the port, the printed link."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Callable

from headstart import console
from headstart.guard import MAX_BYTES
from headstart.studio.app import make_app
from headstart.studio.jobs import WORDS
from headstart.studio.protection import Dressed, Link, Marked, cookie_name
from headstart.studio.receiving import MOST_BYTES
from headstart.studio.state import Studio
from headstart.web import logs
from headstart.web.asgi import App, Receive, Scope, Send
from headstart.web.guard import Access, Guard, loopback_hosts
from headstart.web.limits import Bounds, Limits
from headstart.web.patience import Patience
from headstart.web.running import Running, Site, bind, url_of

_HOST = "127.0.0.1"
_UPLOAD = "/api/images"
_OPEN = frozenset({"/static/"})  # the page's own files
_UPLOAD_SECONDS = 24 * 3600.0  # in all; a body that stands still is given up by the route


def guarded(app: App, token: str, port: int) -> App:
    """The application behind every check: host, origin, token, mark, size and time of a body."""
    held = Limits(app, Bounds(MAX_BYTES))  # an image to try may be as large as one to learn from
    uploads = Limits(app, Bounds(MOST_BYTES, _UPLOAD_SECONDS, streamed=_is_upload))

    async def sized(scope: Scope, receive: Receive, send: Send) -> None:
        await (uploads if _is_upload(scope) else held)(scope, receive, send)

    hosts = loopback_hosts(port)
    access = Access(hosts, token=token, cookie=cookie_name(port), open_paths=_OPEN)
    link = Link(Guard(Marked(sized), access), app, token, port)
    return Dressed(Guard(link, Access(hosts)))


def _is_upload(scope: Scope) -> bool:
    return scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", _UPLOAD)


def serve(
    folder: str | os.PathLike[str],
    *,
    port: int = 0,
    browser: bool = True,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a project on 127.0.0.1 until Ctrl-C; a training that runs goes on without the page.

    Args:
        folder: The project.
        port: 0 takes any that is free.
        browser: Whether to open the page.
        ready: Called with the link when the page answers.

    Raises:
        HeadstartError: The folder cannot be a project, or the port is taken.
    """
    logs.install()  # a defect is a line in the terminal
    bound = bind(_HOST, port)
    studio = Studio(folder)
    token = secrets.token_urlsafe(32)
    link = f"{url_of(bound)}/?token={token}"

    def started() -> None:
        print(f"Studio: {link}\nProject: {console.displayable(str(studio.place.root))}")
        print("Stop with Ctrl-C.", file=sys.stderr, flush=True)
        sys.stdout.flush()
        if browser:
            # In a thread of its own: a browser in the terminal would wait here for its own page.
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()
        if ready is not None:
            ready(link)

    app = guarded(make_app(studio), token, bound.getsockname()[1])
    running = Running([Site(app, bound)], Patience(stopping=3))
    try:
        running.run(started=started, stopping=studio.stop_listening)
    finally:
        studio.close()
        bound.close()
    for record in studio.jobs.all_running():
        print(
            f"{WORDS[record.kind]} goes on. Start the studio again to see it, or to cancel it.",
            file=sys.stderr,
        )
