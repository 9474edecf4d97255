"""Tables of many files: whole at the end, resumed, and the same as in one go."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from batch_material import CLASSES, Classify, Killed, make_files, write
from tiny_run import trained

from headstart import progress
from headstart.batch import predict_to_table
from headstart.batch.columns import Columns
from headstart.batch.journal import lock
from headstart.batch.table import Table
from headstart.errors import HeadstartError, MissingExtra

NAMES = (
    "a.gif",
    "b/bad.gif",
    "b/c.gif",
    "b/no.txt",
    "d,\n.gif",
    "e/odd.gif",
    "e/\udcff.gif",
    "f.gif",
)
KINDS = [".csv", ".parquet"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_files(tmp_path / "photos", *NAMES)


def unfinished(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.unfinished"))


def in_one_go(folder: Path, photos: Path, kind: str) -> bytes:
    write(folder / f"whole{kind}", photos, Classify())
    return (folder / f"whole{kind}").read_bytes()


def test_csv_of_all_files(photos: Path, tmp_path: Path) -> None:
    counts = write(tmp_path / "out.csv", photos, Classify())
    assert str(counts) == "6 images classified, 1 could not be read"
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["path"].removeprefix(f"{photos}/") for row in rows]
    assert names == [
        "a.gif",
        "d,\\n.gif",
        "f.gif",
        "b/bad.gif",
        "b/c.gif",
        "e/odd.gif",
        "e/\\xff.gif",
    ]
    assert [row["error"] != "" for row in rows] == [False] * 3 + [True] + [False] * 3
    assert rows[5]["unknown"] == "yes"
    first = rows[0]
    assert first["p_" + first["label_1"]] == first["probability_1"] > first["probability_2"]
    assert unfinished(tmp_path) == []


def test_parquet_is_typed(photos: Path, tmp_path: Path) -> None:
    write(tmp_path / "out.parquet", photos, Classify())
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    kinds = [str(kind) for kind in table.schema.types]
    assert kinds == [
        "string", "string", "float", "string", "float",
        "list<element: string>", "bool", "string", "float", "float",
    ]  # fmt: skip
    rows = table.to_pylist()
    assert rows[1]["path"] == f"{photos}/d,\n.gif"
    assert rows[0]["p_rose"] + rows[0]["p_tulip"] == pytest.approx(1)
    assert rows[3] == {
        **dict.fromkeys(table.column_names),
        "path": f"{photos}/b/bad.gif",
        "error": "broken",
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("half", [b"", b'half,"a', b'["half', b"\0\0\n", b"a,b\n", b"x" * 5000])
@pytest.mark.parametrize("most", range(8))
def test_a_killed_run_goes_on(
    photos: Path, tmp_path: Path, kind: str, half: bytes, most: int
) -> None:
    whole = in_one_go(tmp_path, photos, kind)
    out = tmp_path / f"out{kind}"
    if most < 7:
        with pytest.raises(Killed):
            write(out, photos, Classify(most))
        assert not out.exists()
        (rows,) = unfinished(tmp_path)
        rows.write_bytes(rows.read_bytes() + half)
    rest = Classify()
    counts = write(out, photos, rest)
    assert out.read_bytes() == whole
    assert len(rest.asked) == 7 - most % 7
    assert (counts.answered, counts.refused, counts.found) == (6, 1, most % 7)
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("gone", "come"),
    [("a.gif", ""), ("", "0.gif"), ("b/c.gif", "b/d.gif"), ("f.gif", ""), ("", "z/z")],
)
def test_files_that_come_and_go(
    photos: Path, tmp_path: Path, kind: str, gone: str, come: str
) -> None:
    with pytest.raises(Killed):
        write(tmp_path / f"out{kind}", photos, Classify(6))
    if gone:
        (photos / gone).unlink()
    if come:
        make_files(photos, come)
    write(tmp_path / f"out{kind}", photos, Classify())
    assert (tmp_path / f"out{kind}").read_bytes() == in_one_go(tmp_path, photos, kind)


def test_rows_of_a_table_whose_name_goes_on_stay(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        write(tmp_path / "out.csv.csv", photos, Classify(3))
    (kept,) = unfinished(tmp_path)
    write(tmp_path / "out.csv", photos, Classify())
    assert unfinished(tmp_path) == [kept]


def test_another_bundle_begins_anew_and_says_so(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        write(tmp_path / "out.csv", photos, Classify(3))
    said: list[str] = []
    again = Classify()
    with progress.listen(lambda event: said.append(event.message)):
        write(tmp_path / "out.csv", photos, again, belongs="another bundle")
    assert len(again.asked) == 7
    assert "what was begun with another bundle or other options is begun anew" in said
    assert unfinished(tmp_path) == []


def test_a_table_that_stands_is_replaced_at_the_end_only(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(Killed):
        write(tmp_path / "out.csv", photos, Classify(3))
    assert (tmp_path / "out.csv").read_text() == "old"
    write(tmp_path / "out.csv", photos, Classify())
    assert (tmp_path / "out.csv").read_text().startswith("path,label_1")


def test_two_at_once_are_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        write(tmp_path / "out.csv", photos, Classify(3))
    (rows,) = unfinished(tmp_path)
    with rows.open("rb") as other:
        lock(other, rows)
        for bundle in ("a bundle", "another"):
            with pytest.raises(HeadstartError, match="is being written by another process"):
                write(tmp_path / "out.csv", photos, Classify(), bundle)
    assert unfinished(tmp_path) == [rows]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.txt", r"Expected the name of a file that ends in \.csv or \.parquet"),
        ("photo.jpg", r"cannot be the table"),
        ("folder.csv", r"cannot be the table"),
        ("nowhere/out.csv", r"cannot be written\. Expected a folder that exists"),
    ],
)
def test_a_table_that_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(HeadstartError, match=message):
        Table(tmp_path / name, Columns(), ())


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"headstart\[parquet\]"):
        Table(tmp_path / "out.parquet", Columns(), ())
    Table(tmp_path / "out.csv", Columns(), ())


def test_python_equals_the_classifier(tmp_path: Path) -> None:
    one = trained()
    counts = predict_to_table(one.bundle, one.photos, tmp_path / "out.parquet", probabilities=True)
    rows = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert (counts.answered, len(rows)) == (60, 60)
    for row, path in zip(rows, one.paths, strict=True):
        expected = one.run.classifier.predict(path)
        assert (row["path"], row["label"]) == (str(path), expected.label)
        assert row["probability"] == pytest.approx(expected.probability, abs=1e-6)
        assert row["p_roses"] == pytest.approx(expected.probabilities["roses"], abs=1e-6)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_the_command_goes_on_after_a_signal(tmp_path: Path, end: signal.Signals) -> None:
    for number in range(1000):
        os.link(trained().paths[number % 60], _in(tmp_path / "photos", f"{number:04}.png"))
    out = tmp_path / "out.csv"
    command = [sys.executable, "-m", "headstart", "predict", str(trained().bundle)]
    command += [str(tmp_path / "photos"), "--csv", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not any(
            path.stat().st_size > 20_000 for path in unfinished(tmp_path)
        ):
            time.sleep(0.002)
        process.send_signal(end)
        _, told = process.communicate()
    assert process.returncode == (130 if end == signal.SIGINT else -9), told
    assert not out.exists()
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert "images were done before; the rest follow" in done.stderr
    whole = tmp_path / "whole.csv"
    predict_to_table(trained().bundle, tmp_path / "photos", whole)
    assert out.read_bytes() == whole.read_bytes()


def _in(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / name


def test_every_class_has_its_column() -> None:
    assert Columns(1, CLASSES).header()[-2:] == ["p_rose", "p_tulip"]
