"""`headstart serve`: answer over HTTP."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from headstart import console
from headstart.errors import HeadstartError
from headstart.options import with_options

TOKEN = "HEADSTART_TOKEN"
Bundles = Annotated[
    list[Path],
    typer.Argument(
        metavar="BUNDLE...",
        help="Bundles, or folders of models: NAME/VERSION/.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class ServeOptions:
    """One field for each option."""

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1
    token: Annotated[
        str | None,
        typer.Option(help=f"What requests must bring; better in {TOKEN}.", show_default="none"),
    ] = None
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name of this server; '*' is any.")
    ] = None
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="A web site whose pages may ask.")
    ] = None
    max_body: Annotated[float, typer.Option(min=0.001, max=10240, help="Most MB of a request.")] = (
        32
    )
    max_images: Annotated[
        int, typer.Option(min=1, max=100_000, help="Most images of a request.")
    ] = 64
    queue: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="Most images under way, of a process; more get 429."),
    ] = 128
    receive_timeout: Annotated[
        float, typer.Option(min=0.1, max=86400, help="Seconds in which a request has to come.")
    ] = 30
    stop_timeout: Annotated[
        float, typer.Option(min=1, max=86400, help="Seconds for what has begun when it stops.")
    ] = 30
    poll: Annotated[
        float, typer.Option(min=0.01, max=86400, help="Seconds between looks for new versions.")
    ] = 2
    quiet: Annotated[
        bool,
        typer.Option("--quiet", help="Log only requests that fail; of 429 and 503 one a second."),
    ] = False


@with_options(ServeOptions)
def serve(bundles: Bundles, options: ServeOptions) -> None:
    """Answer over HTTP: images in, classes out."""
    from headstart.serving import Settings
    from headstart.serving import serve as run

    settings = Settings(
        bundles=tuple(bundles),
        host=options.host,
        port=options.port,
        workers=options.workers,
        token=options.token or os.environ.get(TOKEN),
        allow_hosts=tuple(options.allow_host or ()),
        allow_origins=tuple(options.allow_origin or ()),
        max_body=math.ceil(options.max_body * (1 << 20)),
        max_images=options.max_images,
        queue=options.queue,
        receive_timeout=options.receive_timeout,
        stop_timeout=options.stop_timeout,
        poll=options.poll,
        log_requests=not options.quiet,
    )
    if options.token == "":
        raise HeadstartError(
            "--token is empty. Expected a secret. Leave it out to serve without one."
        )
    run(settings, _tell)


def _tell(url: str, names: list[str]) -> None:
    """Say where the server is, when it answers."""
    print(f"Serving {console.displayable(', '.join(names))} on {url} (Ctrl-C ends it)", flush=True)
