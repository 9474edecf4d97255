"""`headstart report`: write the report of a bundle again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart import console


def report(
    bundle: Annotated[
        Path, typer.Argument(help="A folder that `headstart fit` wrote.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file.", show_default="NAME.report.html"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the report of a bundle as one HTML file."""
    from headstart.reporting import report as write

    written = write(bundle, out=out)
    if json:
        console.print_json(written.to_dict())
    else:
        print(console.displayable(str(written)))
