"""The commands that take a bundle, as plain functions; heavy imports wait for their command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from headstart import console
from headstart.network_options import JsonOption as Json

Bundle = Annotated[
    Path, typer.Argument(help="A folder that `headstart fit` wrote.", show_default=False)
]
Data = Annotated[
    str, typer.Argument(help="Folder, CSV or zip of labelled images.", show_default=False)
]
Level = Annotated[
    float | None,
    typer.Option(help="How often the candidates hold the true class.", show_default="0.9"),
]


def evaluate(bundle: Bundle, data: Data, json: Json = False, level: Level = None) -> None:
    """Test a classifier on labelled images."""
    from headstart.retest import evaluate_bundle

    with console.progress_shown():
        result = evaluate_bundle(bundle, data, level=level)
    if json:
        console.print_json(result.to_dict())
    else:
        print(result.summary())


def compare(
    bundle: Bundle,
    other: Annotated[Path, typer.Argument(help="The bundle to compare with.", show_default=False)],
    data: Data,
    json: Json = False,
) -> None:
    """Test two classifiers on the same labelled images."""
    from headstart.comparison import compare as test_both

    with console.progress_shown():
        found = test_both(bundle, other, data)
    if json:
        console.print_json(found.to_dict())
    else:
        print(found.summary())


def describe(
    bundle: Bundle,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show each layer, not each block.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the layers, what learned, and how it was trained."""
    from headstart.description import describe as read

    found = read(bundle)
    if json:
        console.print_json(found.to_dict())
    else:
        print(found.text(layers=layers))


# In the order of `headstart --help`.
COMMANDS: tuple[Callable[..., None], ...] = (evaluate, compare, describe)
