"""`headstart export`: a classifier as a file for another runtime."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from headstart import console
from headstart.network_options import JsonOption
from headstart.options import with_options


class Format(StrEnum):
    """What can be written."""

    KERAS = "keras"
    ONNX = "onnx"
    OPENVINO = "openvino"
    LITERT = "litert"
    SAVED_MODEL = "saved_model"
    HUB = "hub"


@dataclass(frozen=True)
class ExportOptions:
    """One field for each option."""

    to: Annotated[Format, typer.Option(help="The format.", show_default=False)]
    int8: Annotated[
        bool, typer.Option("--int8", help="With 8-bit numbers (onnx, openvino, litert).")
    ] = False
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file or folder.", show_default="by the bundle"),
    ] = None
    data: Annotated[
        str | None,
        typer.Option(help="Labelled images to check with.", show_default="the bundle's own"),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(help="The backbone's weights or model file.", show_default="as fit finds it"),
    ] = None
    json: JsonOption = False


@with_options(ExportOptions)
def export(
    bundle: Annotated[
        Path, typer.Argument(help="A folder that `headstart fit` wrote.", show_default=False)
    ],
    options: ExportOptions,
) -> None:
    """Write a classifier for another runtime, checked there."""
    from headstart.exporting import export as write

    with console.progress_shown():
        found = write(
            bundle,
            options.to.value,
            int8=options.int8,
            out=options.out,
            data=options.data,
            weights=options.weights,
        )
    if options.json:
        console.print_json(found.to_dict())
    else:
        print(console.displayable(str(found)))
