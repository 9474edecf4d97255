from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from headstart import prediction
from headstart.answers import Prediction, Unreadable
from headstart.batch.columns import Columns
from headstart.scan import printable

Capture = pytest.CaptureFixture[str]


def answer(source: str, **probabilities: float) -> Prediction:
    label = next(iter(probabilities))
    return Prediction(label, probabilities[label], probabilities, source)


ROSE = answer("a.jpg", rose=0.75, tulip=0.25)
TULIP = answer("b.jpg", tulip=0.5004, rose=0.4996)
BROKEN = Unreadable("c.jpg", "not an image")


def test_text(capsys: Capture) -> None:
    answered = prediction.write_text([ROSE, BROKEN, TULIP], 1)
    told = capsys.readouterr()
    assert answered == 2
    assert told.out == "a.jpg: rose 0.750\nb.jpg: tulip 0.500\n"
    assert told.err == "skipped c.jpg: not an image\n"


@pytest.mark.parametrize("top", [2, 3, 1000])
def test_text_with_more_classes_than_there_are(capsys: Capture, top: int) -> None:
    prediction.write_text([ROSE], top)
    assert capsys.readouterr().out == "a.jpg: rose 0.750, tulip 0.250\n"


DOUBTS = [
    ((), False, "none of these", []),
    (("rose", "tulip"), False, "rose or tulip", ["rose", "tulip"]),
    (("rose",), True, "unlike all training images", ["rose"]),
    ((), True, "none of these; unlike all training images", []),
    (("a", "b", "c", "d", "e"), False, "a or b or c or 2 more", ["a", "b", "c", "d", "e"]),
    (("tulip",), False, "rather tulip", ["tulip"]),
    (("rose",), False, "", ["rose"]),
    (("a\nb", "\x1b[2J"), False, "a\\nb or \\x1b[2J", ["a\nb", "\x1b[2J"]),
]


@pytest.mark.parametrize(("candidates", "unknown", "said", "listed"), DOUBTS)
def test_what_speaks_against_an_answer(
    capsys: Capture, candidates: tuple[str, ...], unknown: bool, said: str, listed: list[str]
) -> None:
    one = replace(ROSE, candidates=candidates, unknown=unknown)
    prediction.write_text([one], 1)
    assert capsys.readouterr().out == f"a.jpg: rose 0.750{f' ({said})' if said else ''}\n"
    prediction.write_csv([one], Columns(1))
    (row,) = read_csv(capsys.readouterr().out)[1:]
    shown = " or ".join(map(printable, listed)) or "none of these"
    assert row[3:] == [shown, "yes" if unknown else "", ""]
    prediction.write_json([one], 1)
    (entry,) = json.loads(capsys.readouterr().out)["predictions"]
    assert (entry["candidates"], entry["unknown"]) == (listed, unknown)


def test_text_stays_a_line_for_each_image(capsys: Capture) -> None:
    hostile = answer("a\nb.jpg: rose 1.000\x1b[2J\udcff", **{"ro\nse": 1.0})
    prediction.write_text([hostile, Unreadable("x\ny", "broken\n")], 1)
    told = capsys.readouterr()
    assert told.out == "a\\nb.jpg: rose 1.000\\x1b[2J\\xff: ro\\nse 1.000\n"
    assert told.err == "skipped x\\ny: broken\\n\n"


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), strict=True))


def test_csv(capsys: Capture) -> None:
    assert prediction.write_csv([ROSE, BROKEN, TULIP], Columns(1)) == 2
    assert read_csv(capsys.readouterr().out) == [
        ["path", "label", "probability", "candidates", "unknown", "error"],
        ["a.jpg", "rose", "0.750000", "", "", ""],
        ["c.jpg", "", "", "", "", "not an image"],
        ["b.jpg", "tulip", "0.500400", "", "", ""],
    ]


def test_csv_with_more_classes_than_there_are(capsys: Capture) -> None:
    prediction.write_csv([ROSE, BROKEN], Columns(3))
    header, rose, broken = read_csv(capsys.readouterr().out)
    assert header == [
        "path", "label_1", "probability_1", "label_2", "probability_2",
        "label_3", "probability_3", "candidates", "unknown", "error",
    ]  # fmt: skip
    assert rose == ["a.jpg", "rose", "0.750000", "tulip", "0.250000", *[""] * 5]
    assert broken == ["c.jpg", *[""] * 8, "not an image"]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ('a,"b";c\t', 'a,"b";c\\t'),
        ("two\r\nlines", "two\\r\\nlines"),
        (" spaces ", " spaces "),
        ("bad \udcff", "bad \\xff"),
        ("Ku\u0308che\u202f1", "Ku\u0308che\u202f1"),
    ],
)
def test_csv_of_hostile_names(capsys: Capture, name: str, cell: str) -> None:
    prediction.write_csv([answer(name, **{name: 1.0}), Unreadable(name, name)], Columns(1))
    told = capsys.readouterr().out
    assert told.count("\n") == 3
    assert read_csv(told)[1:] == [[cell, cell, "1.000000", *[""] * 3], [cell, *[""] * 4, cell]]


def test_json(capsys: Capture) -> None:
    assert prediction.write_json([ROSE, BROKEN], 5) == 1
    rose, broken = json.loads(capsys.readouterr().out)["predictions"]
    both = [{"label": "rose", "probability": 0.75}, {"label": "tulip", "probability": 0.25}]
    assert rose == {
        "path": "a.jpg",
        "label": "rose",
        "probability": 0.75,
        "top": both,
        "candidates": None,
        "unknown": False,
    }
    assert broken == {"path": "c.jpg", "error": "not an image"}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ('a"b\\c\n\x1b[2J', 'a"b\\c\n\x1b[2J'),
        ("Ku\u0308che\u202f1", "Ku\u0308che\u202f1"),
        ("bad \udcff", "bad \\xff"),
    ],
)
def test_json_of_hostile_names(capsys: Capture, name: str, kept: str) -> None:
    prediction.write_json([answer(name, **{name: 1.0}), Unreadable(name, name)], 1)
    told = capsys.readouterr().out
    good, broken = json.loads(told)["predictions"]
    assert told.isascii()
    assert good["path"] == kept
    assert broken == {"path": kept, "error": kept}


def test_json_of_nothing(capsys: Capture) -> None:
    assert prediction.write_json([], 1) == 0
    assert json.loads(capsys.readouterr().out) == {"predictions": []}


@pytest.mark.parametrize(
    "write",
    [
        lambda answers: prediction.write_text(answers, 1),
        lambda answers: prediction.write_csv(answers, Columns()),
        lambda answers: prediction.write_json(answers, 1),
    ],
)
def test_where_nothing_could_be_read(
    capsys: Capture, write: Callable[[prediction.Answers], int]
) -> None:
    assert write([BROKEN, BROKEN]) == 0
    told = capsys.readouterr()
    assert (told.out + told.err).count("not an image") == 2
