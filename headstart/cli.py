"""The command line: thin faces over the functions that Python calls. Heavy imports wait for their command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart import console
from headstart.fit_options import FitOptions, with_fit_options

if TYPE_CHECKING:
    from headstart.training import Run

app = typer.Typer(
    help="Turn a folder of labelled images into a classifier that can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Bundle = Annotated[
    Path, typer.Argument(help="A folder that `headstart fit` wrote.", show_default=False)
]
Data = Annotated[
    str, typer.Argument(help="Folder, CSV or zip of labelled images.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
@with_fit_options
def fit(data: Data, options: FitOptions) -> None:
    """Train a classifier, test it on held-out images, and save it."""
    run = _run(data, options, Path(data).name or "data")
    if not options.json:
        from headstart.summary import next_commands, run_summary

        print(run_summary(run))
        print(next_commands(run))


@app.command()
@with_fit_options
def demo(options: FitOptions) -> None:
    """Train on 2,000 photos of textile that come with the install, to see it work."""
    from dataclasses import replace

    from headstart import demo as example

    folder = example.demo_folder()
    if options.image_size is None:
        options = replace(options, image_size=example.IMAGE_SIZE)
        if not options.json:
            print(example.WHY)
    run = _run(str(folder), options, "textile")
    if not options.json:
        from headstart.summary import next_commands, run_summary

        print(run_summary(run))
        print(next_commands(run, example=folder / "local"))


def _run(data: str, options: FitOptions, name: str) -> Run:
    from headstart.recipe import Recipe
    from headstart.training import fit as train

    recipe = Recipe(
        backbone=options.backbone,
        weights=None if options.weights == "none" else options.weights,
        image_size=options.image_size,
        resize=options.resize.value,
        head=options.head.value,
        class_weight=options.class_weight.value,
        seed=options.seed,
        precision=options.precision.value,
    )
    stem = (
        name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in (".zip", ".csv") else name
    )
    out = options.out or Path(f"{stem}.headstart")
    with console.progress_shown():
        run = train(
            data, recipe, out=out, device=options.device.value, time_limit=options.time_limit
        )
    if options.json:
        console.print_json(run.to_dict())
    return run


@app.command()
def predict(
    bundle: Bundle,
    images: Annotated[list[Path], typer.Argument(help="Files or folders.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each image.")] = 1,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
) -> None:
    """Classify images."""
    from headstart.bundle import load
    from headstart.errors import HeadstartError
    from headstart.prediction import find_files, write_csv, write_json, write_text

    if json and csv:
        raise HeadstartError(
            "Both --json and --csv were given. Expected one of them. Leave one out."
        )
    classifier = load(bundle)
    files = find_files(images)
    write = write_json if json else write_csv if csv else write_text
    with console.progress_shown():
        answered = write(classifier.predict_files(files), top, len(files))
    if not answered:
        raise SystemExit(2)


@app.command()
def evaluate(bundle: Bundle, data: Data, json: Json = False) -> None:
    """Test a classifier on labelled images that it was not trained on."""
    from headstart.retest import evaluate_bundle

    with console.progress_shown():
        result = evaluate_bundle(bundle, data)
    if json:
        console.print_json(result.to_dict())
    else:
        print(result.summary())


@app.command()
def backbones(json: Json = False) -> None:
    """List the pre-trained networks, and which have their weights here."""
    from headstart.backbones import list_backbones, weights_here
    from headstart.summary import backbone_rows, table

    found = [(info, weights_here(info)) for info in list_backbones()]
    if json:
        console.print_json({"backbones": backbone_rows(found)})
    else:
        print(table(backbone_rows(found)))


@app.command()
def cache(
    clear: Annotated[
        str | None, typer.Option(help="Remove what begins with this name, or 'all'.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what is kept for each backbone, and how large it is; --clear removes it."""
    from headstart import cache as kept
    from headstart.summary import cache_rows, cache_summary

    if clear is not None:
        found = kept.clear("" if clear == "all" else clear)
    else:
        found = kept.entries(records=True)
    rows = cache_rows(found)
    if json:
        console.print_json(
            {"removed" if clear is not None else "kept": rows, "folder": str(kept.cache_root())}
        )
    else:
        print(cache_summary(rows, removed=clear is not None))


def main() -> None:
    """The `headstart` command."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, if it is
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with console.errors_told():
        app(prog_name="headstart")
