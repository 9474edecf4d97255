"""`headstart backbones`: list the pre-trained networks, or fetch the weights of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart import console

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

app = typer.Typer(
    help="List the pre-trained networks, and which have weights here.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def backbones(context: typer.Context, json: Json = False) -> None:
    """List the pre-trained networks, and which have weights here."""
    if context.invoked_subcommand is not None:
        context.obj = json
        return
    from headstart.backbones import list_backbones, weights_here
    from headstart.summary import backbone_rows, table

    found = [(info, weights_here(info)) for info in list_backbones()]
    if json:
        console.print_json({"backbones": backbone_rows(found)})
    else:
        print(table(backbone_rows(found)))


@app.command()
def fetch(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(help="A name that `headstart backbones` lists, or hub:PRESET."),
    ],
    to: Annotated[Path, typer.Option(help="Folder to write the weights into.")],
    json: Json = False,
) -> None:
    """Write the weights of a backbone into a folder to copy."""
    from headstart.backbones.fetch import fetch_backbone

    with console.progress_shown():
        fetched = fetch_backbone(name, to)
    if json or context.obj:
        console.print_json(fetched.to_dict())
    else:
        print(console.displayable(str(fetched)))
