from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Never

import pytest
from command_line import run_command

from headstart import cli
from headstart.answers import Prediction, Unreadable
from headstart.errors import HeadstartError

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--colour", "No such option: --colour. See: headstart --help"),
        ("zzzz", "No such command 'zzzz'. See: headstart --help"),
        ("fit", "Missing argument 'data'. See: headstart fit --help"),
        ("fit x y", "Got unexpected extra argument"),
        ("fit x --ouput y", "No such option: --ouput"),
        ("fit x --head tree", "Invalid value for '--head': 'tree' is not one of 'auto', 'linear',"),
        ("fit x --seed", "Option '--seed' requires "),
        ("fit x --seed red", "Invalid value for '--seed': "),
        ("predict x y --top 0", "Invalid value for '--top': "),
    ],
)
def test_a_wrong_command_line_is_one_line(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: str, line: str
) -> None:
    assert run_command(monkeypatch, *arguments.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"Error: {line}")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("", "Commands:"),
        ("-h", "Commands:"),
        ("fit --help", "--image-size"),
        ("--version", "headstart 0."),
    ],
)
def test_help(capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: str, part: str) -> None:
    assert run_command(monkeypatch, *arguments.split()) == 0
    told = capsys.readouterr()
    assert part in told.out
    assert told.err == ""
    assert not re.search(r"^  .*\.\.\.$", told.out, re.MULTILINE)  # no help text is cut off


def test_help_loads_little() -> None:
    program = "import sys\nsys.argv = ['headstart', '--help']\nfrom headstart import cli\n"
    program += "try:\n    cli.main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "typer" in loaded
    assert not loaded & {"rich", "pydantic", "numpy", "PIL", "lmdb", "openvino", "tensorflow"}


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (BrokenPipeError(32, "Broken pipe"), 141), (PermissionError(), 2)],
    ids=["interrupt", "pipe", "refused"],
)
def test_a_command_that_fails(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail() -> Never:
        raise error

    monkeypatch.setattr("headstart.backbones.list_backbones", fail)
    assert run_command(monkeypatch, "backbones") == code
    assert "Traceback" not in capsys.readouterr().err


def test_closed_streams_are_opened_to_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert run_command(monkeypatch, "--help") == 0
    assert run_command(monkeypatch, "--colour") == 2
    for stream in (sys.stdout, sys.stderr):
        assert stream.name == os.devnull
        stream.close()


@pytest.fixture
def three_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The arguments `predict BUNDLE IMAGE`, where a classifier of three classes stands in."""

    def answers(paths: Iterable[str]) -> Iterator[Prediction | Unreadable]:
        probabilities = {"rose": 0.5, "tulip": 0.3, "daisy": 0.2}
        for path in map(Path, paths):
            if path.suffix == ".txt":
                yield Unreadable(path.name, "not an image")
            else:
                yield Prediction("rose", 0.5, probabilities, path.name)

    fake = SimpleNamespace(class_names=("daisy", "rose", "tulip"), predict_files=answers)
    monkeypatch.setattr("headstart.batch.load", lambda path: fake)
    for name in ("a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return ["predict", "a_bundle"]


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ("", "a.jpg: rose 0.500"),
        ("--top 2", "a.jpg: rose 0.500, tulip 0.300"),
        ("--csv -", "path,label,probability,candidates,unknown,error"),
        (
            "--csv - --top 1000000000",
            "path,label_1,probability_1,label_2,probability_2,label_3,probability_3,candidates,unknown,error",
        ),
        ("--json", '{"predictions": ['),
    ],
)
def test_predict(
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    three_classes: list[str],
    options: str,
    first: str,
) -> None:
    assert run_command(monkeypatch, *three_classes, "a.jpg", "notes.txt", *options.split()) == 0
    assert capsys.readouterr().out.splitlines()[0] == first


def test_predict_of_nothing_that_can_be_read(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, three_classes: list[str]
) -> None:
    assert run_command(monkeypatch, *three_classes, "notes.txt") == 2
    skipped, told = capsys.readouterr().err.splitlines()
    assert skipped == "skipped notes.txt: not an image"
    assert told.startswith("Error: No file could be read, of 1. Expected ")


def test_one_form_of_output(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, three_classes: list[str]
) -> None:
    assert run_command(monkeypatch, *three_classes, "a.jpg", "--csv", "-", "--json") == 2
    assert "Both --json and --csv were given." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("a.jpg --csv x.csv --parquet x.parquet", "Both --csv and --parquet were given."),
        ("a.jpg --csv a.jpg", "'a.jpg' cannot be the table."),
        ("a.jpg --copy", "Expected --sort-into FOLDER with them."),
        ("a.jpg --sure 0.5", "Expected --sort-into FOLDER with them."),
        ("a.jpg --watch .", "--watch FOLDER and images were given."),
        ("a.jpg --csv x.parquet", "received '.parquet'. Use --parquet x.parquet, or"),
        ("a.jpg --parquet x.CSV", "received '.CSV'. Use --csv x.CSV, or another name."),
        ("--watch . --csv x.parquet", "Expected a name that ends in .csv;"),
        ("--watch . --parquet x.parquet", "--watch FOLDER and --parquet were given."),
        ("a.jpg --probabilities", "Expected --csv or --parquet with it."),
        ("", "There is nothing to classify."),
        ("a.jpg --sort-into .", "'daisy' would lie"),
    ],
)
def test_predict_refuses(
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    three_classes: list[str],
    options: str,
    message: str,
) -> None:
    (Path("daisy") / "in").mkdir(parents=True)
    monkeypatch.setattr("headstart.batch.file_digest", lambda path: "")
    if "--sort-into" in options:
        options = options.replace("a.jpg", "daisy/in --sure 0.5")
        (Path("daisy") / "in" / "a.gif").write_bytes(b"GIF89a")
    assert run_command(monkeypatch, *three_classes, *options.split()) == 2
    assert message in capsys.readouterr().err
    assert not list(Path().glob(".*"))


@pytest.mark.parametrize(
    ("data", "out", "place"),
    [
        ("photos", None, "photos.headstart"),
        ("photos/", None, "photos.headstart"),
        ("photos/../photos.v2", None, "photos.v2.headstart"),
        ("archive.ZIP", None, "archive.headstart"),
        ("list.csv", None, "list.headstart"),
        ("photos", "photos-bundle", "photos-bundle"),
    ],
)
def test_where_the_bundle_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str, out: str | None, place: str
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.bundle_place(data, None if out is None else Path(out)) == Path(place)


@pytest.mark.parametrize(
    ("data", "out"), [(".", None), ("..", None), ("photos", "photos/bundle"), (".", "a/b/c")]
)
def test_the_bundle_never_lies_among_the_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str, out: str | None
) -> None:
    (tmp_path / "here" / "photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(HeadstartError, match=rf"would lie among the images\. Expected .*'{data}'"):
        cli.bundle_place(data, None if out is None else Path(out))
