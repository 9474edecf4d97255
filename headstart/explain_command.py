"""`headstart explain`: why a classifier answers as it does for one image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from headstart import console
from headstart.scan import encodable, printable


class Method(StrEnum):
    """How the map is made."""

    AUTO = "auto"
    CAM = "cam"
    GRAD_CAM = "grad-cam"
    OCCLUSION = "occlusion"


def explain(
    bundle: Annotated[
        Path, typer.Argument(help="A folder that `headstart fit` wrote.", show_default=False)
    ],
    image: Annotated[Path, typer.Argument(help="An image file.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Where to draw it: .png, .jpg, .webp.", show_default=False
        ),
    ],
    class_name: Annotated[
        str | None,
        typer.Option("--class", help="The class to explain.", show_default="the answer"),
    ] = None,
    method: Annotated[Method, typer.Option(help="How the map is made.")] = Method.AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what in an image speaks for its class."""
    from headstart.explanation import check_image_target
    from headstart.explanation import explain as make

    check_image_target(out, image)
    with console.progress_shown():
        found = make(bundle, image, class_name=class_name, method=method.value)
    found.save(out)
    if json:
        console.print_json({**found.to_dict(), "out": encodable(str(out))})
    else:
        print(found)
        print(f"Drawn: {printable(str(out))}")
