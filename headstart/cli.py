"""The command line: thin faces over the functions that Python calls.

Heavy imports wait for their command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart import backbones_command, console, explain_command
from headstart.errors import HeadstartError
from headstart.fit_options import FitOptions
from headstart.options import with_options
from headstart.rank_options import RankOptions

if TYPE_CHECKING:
    from headstart.run import Run

app = typer.Typer(
    help="Turn a folder of labelled images into a classifier that can be trusted.",
    add_completion=False,
    rich_markup_mode=None,  # rich would take longer to import than all the rest of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _tell_version(asked: bool) -> None:
    if asked:
        from headstart import __version__

        print(f"headstart {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """What stands before a command."""


@app.command()
@with_options(FitOptions)
def fit(data: Data, options: FitOptions) -> None:
    """Train a classifier, test it on held-out images, and save it."""
    run = _run(data, options, bundle_place(data, options.out))
    if not options.json:
        from headstart.summary import next_commands, run_summary

        print(run_summary(run))
        print(next_commands(run))
    if run.interrupted:  # by Ctrl-C; the same command goes on
        raise SystemExit(console.INTERRUPTED)


@app.command()
@with_options(FitOptions)
def demo(options: FitOptions) -> None:
    """Train on 2,000 images of textile, to see it work."""
    from headstart import demo as example

    folder = example.demo_folder()
    run = _run(str(folder), options, options.out or Path("textile.headstart"))
    if not options.json:
        from headstart.summary import next_commands, run_summary

        print(run_summary(run))
        print(next_commands(run, example=folder / "local"))


def bundle_place(data: str, out: Path | None) -> Path:
    """Where the bundle goes: `out`, or NAME.headstart in the current folder.

    Raises:
        HeadstartError: It would lie among the images.
    """
    source = Path(os.path.abspath(data))
    if out is None:
        packed = source.suffix.lower() in (".zip", ".csv", ".tsv")
        out = Path(f"{(source.stem if packed else source.name) or 'data'}.headstart")
    if source in Path(os.path.abspath(out)).parents:
        raise HeadstartError(
            f"The bundle '{out}' would lie among the images. Expected a place outside '{data}', or "
            "the next run takes it for a class. Choose one with --out."
        )
    return out


def _run(data: str, options: FitOptions, out: Path) -> Run:
    from headstart.training import fit as train

    recipe = options.to_recipe()
    with console.progress_shown():
        run = train(
            data,
            recipe,
            out=out,
            device=options.device.value,
            time_limit=options.time_limit,
            folds=options.cross_validate,
        )
    if options.json:
        console.print_json(run.to_dict())
    return run


@app.command()
@with_options(RankOptions)
def rank(data: Data, options: RankOptions) -> None:
    """Compare backbones and image sizes on your images."""
    from headstart.ranking import rank as compare
    from headstart.ranking.result import check_plot
    from headstart.recipe import Recipe
    from headstart.summary import ranking_text

    if options.plot is not None:
        check_plot(options.plot)
    recipe = Recipe(
        resize=options.resize.value,
        class_weight=options.class_weight.value,
        seed=options.seed,
        precision=options.precision.value,
    )
    with console.progress_shown():
        found = compare(
            data,
            recipe,
            backbones=options.names,
            sizes=options.pixels,
            device=options.device.value,
            time_limit=options.time_limit,
        )
        if options.plot is not None:
            found.plot(options.plot)
    if options.json:
        console.print_json(found.to_dict())
    else:
        print(ranking_text(found))


@app.command()
def predict(
    bundle: Bundle,
    images: Annotated[list[Path], typer.Argument(help="Files or folders.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each image.")] = 1,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    level: Level = None,
) -> None:
    """Classify images."""
    from headstart.bundle import load
    from headstart.prediction import find_files, write_csv, write_json, write_text

    if json and csv:
        raise HeadstartError(
            "Both --json and --csv were given. Expected one of them. Leave one out."
        )
    classifier = load(bundle)
    if level is not None:
        classifier.choose_level(level)
    files = find_files(images)
    write = write_json if json else write_csv if csv else write_text
    with console.progress_shown():
        shown = min(top, len(classifier.class_names))
        answered = write(classifier.predict_files(files), shown, len(files))
    if not answered:
        raise HeadstartError(
            f"No file could be read, of {len(files)}. Expected images that open. The reasons "
            "stand beside their names."
        )


@app.command()
def evaluate(bundle: Bundle, data: Data, json: Json = False, level: Level = None) -> None:
    """Test a classifier on labelled images."""
    from headstart.retest import evaluate_bundle

    with console.progress_shown():
        result = evaluate_bundle(bundle, data, level=level)
    if json:
        console.print_json(result.to_dict())
    else:
        print(result.summary())


@app.command()
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


@app.command()
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


app.command("explain")(explain_command.explain)
app.add_typer(backbones_command.app, name="backbones")


@app.command()
def cache(
    clear: Annotated[
        str | None, typer.Option(help="Remove what begins with this name, or 'all'.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what is kept, and how large it is; --clear removes it."""
    from headstart import cache as kept
    from headstart.locations import cache_root
    from headstart.summary import cache_rows, cache_summary

    if clear is not None:
        found = kept.clear("" if clear == "all" else clear)
    else:
        found = kept.entries(records=True)
    rows = cache_rows(found)
    if json:
        console.print_json(
            {"removed" if clear is not None else "kept": rows, "folder": str(cache_root())}
        )
    else:
        print(cache_summary(rows, removed=clear is not None))


def main() -> None:
    """The `headstart` command."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, if it is
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: no file of ours may get its number
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with console.errors_told():
        _dispatch(sys.argv[1:] or ["--help"])


def _dispatch(arguments: list[str]) -> None:
    """Run one command. Typer's own runner would keep Ctrl-C and closed pipes to itself."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("headstart", arguments) as context:
            command.invoke(context)
    except typer.Exit as end:  # --help
        raise SystemExit(end.exit_code) from None
    except typer.TyperException as error:
        where = getattr(error, "ctx", None)
        path = "headstart" if where is None else where.command_path
        text = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
        raise HeadstartError(f"{text}. See: {path} --help") from None
