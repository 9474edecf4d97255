"""The command line: thin faces over the functions that Python calls.

Heavy imports wait for their command.
"""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart import (
    backbones_command,
    bundle_commands,
    console,
    explain_command,
    export_command,
    predict_command,
    progress,
    report_command,
    serve_command,
    studio_command,
)
from headstart.bundle_commands import Data
from headstart.check_options import CheckOptions
from headstart.errors import HeadstartError
from headstart.fit_options import FitOptions
from headstart.network_options import JsonOption as Json
from headstart.options import with_options
from headstart.rank_options import RankOptions

if TYPE_CHECKING:
    from headstart.dataset import Dataset
    from headstart.run import Run

app = typer.Typer(
    help="Turn a folder of labelled images into a classifier that can be trusted.",
    add_completion=False,
    rich_markup_mode=None,  # rich would take longer to import than all the rest of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    if run.interrupted:  # by Ctrl-C; the same command goes on
        raise SystemExit(console.INTERRUPTED)


@app.command()
@with_options(FitOptions)
def demo(options: FitOptions) -> None:
    """Train on 2,000 images of textile, to see it work."""
    from headstart import demo as example

    folder = example.demo_folder()
    out = options.out or Path("textile.headstart")
    _run(str(folder), options, out, example=folder / "local")


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


def _fixed(data: str, fixes: Path | None) -> str | Dataset:
    """The data, with a list of fixes applied where there is one."""
    if fixes is None:
        return data
    from headstart.dataset import read_dataset
    from headstart.fixes import apply_fixes

    return apply_fixes(read_dataset(data), fixes)


def _run(data: str, options: FitOptions, out: Path, example: Path | None = None) -> Run:
    """Train, save, tell."""
    from headstart.bundle import check_target
    from headstart.summary import next_commands, run_summary
    from headstart.trackers import Tracker, track
    from headstart.training import fit as train

    recipe = options.to_recipe()
    unused = options.unused(recipe)
    tracker = None if options.track is None else Tracker.parse(options.track)
    check_target(out)
    if tracker is not None:
        tracker.check()
    with console.progress_shown():
        if unused:
            progress.remark("options", unused)
        run = train(
            _fixed(data, options.fixes),
            recipe,
            out=out if options.images else None,
            device=options.device.value,
            time_limit=options.time_limit,
            folds=options.cross_validate,
        )
        if not options.images:
            run = replace(run, bundle=run.save(out, images=False))
    if unused:
        run = replace(run, warnings=(*run.warnings, unused))
    if options.json:
        console.print_json(run.to_dict())
    else:
        print(run_summary(run))
        print(next_commands(run, example=example))
    if tracker is not None:
        print(f"Logged: {console.displayable(track(run, tracker))}", file=sys.stderr)
    return run


@app.command()
@with_options(CheckOptions)
def check(data: Data, options: CheckOptions) -> None:
    """Look for broken, copied, mislabelled and odd images."""
    from headstart.checkup import check as look
    from headstart.checkup.fix_list import check_place

    recipe = options.to_recipe()
    if options.fix_list is not None:
        check_place(options.fix_list, options.fixes)
    with console.progress_shown():
        found = look(_fixed(data, options.fixes), recipe, device=options.device.value)
    if options.fix_list is not None:
        found.write_fix_list(options.fix_list)
    if options.json:
        console.print_json(found.to_dict())
    else:
        print(console.displayable(found.summary()))
        if options.fix_list is not None:
            command = ["headstart", "fit", data, "--fixes", str(options.fix_list)]
            print(f"\nEdit {options.fix_list}, then: {shlex.join(command)}")


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


app.command()(predict_command.predict)
for _command in bundle_commands.COMMANDS:
    app.command()(_command)
app.command()(explain_command.explain)
app.command()(export_command.export)
app.command()(report_command.report)
app.command()(serve_command.serve)
app.command()(studio_command.studio)
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
    warnings.filterwarnings("ignore", module=r"PIL\.")  # a bad image gets a line of ours
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
