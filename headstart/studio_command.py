"""`headstart studio`: the page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def studio(
    folder: Annotated[
        Path, typer.Argument(help="The project; it is made where it is not there.")
    ] = Path("headstart-project"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8123,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Collect, train, understand and try in the browser."""
    from headstart.extras import require

    require("fastapi", "serve", "the studio")
    require("python_multipart", "serve", "the studio")
    from headstart.studio.serving import serve

    serve(folder, port=port, browser=browser)
