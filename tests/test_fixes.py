"""Lists of fixes: written, edited, applied."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeFolder
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headstart.checkup.finding import Finding
from headstart.checkup.fix_list import check_place, write_fix_list
from headstart.dataset import Dataset, read_dataset
from headstart.errors import HeadstartError
from headstart.fixes import COLUMNS, apply_fixes, as_csv
from headstart.scan import display


@pytest.fixture
def dataset(image_folder: MakeFolder) -> Dataset:
    return read_dataset(image_folder(classes=("ants", "bees", "wasps"), per_class=4))


def names(dataset: Dataset) -> list[str]:
    return [path.relative_to(dataset.root).as_posix() for path in dataset.paths]


def listed(folder: Path, *lines: str, header: str = "file,action,label") -> Path:
    path = folder / "fixes.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_what_it_does(tmp_path: Path, dataset: Dataset) -> None:
    before = names(dataset)
    fixes = listed(
        tmp_path,
        f"{before[0]},drop,",
        f"{before[1]},relabel,bees",
        f"{before[2]},keep,bees",
        f"{before[3]},,wasps",
        "ants/gone.jpg,drop,",
    )
    fixed = apply_fixes(dataset, fixes)
    assert names(fixed) == before[1:]
    labels = [fixed.class_names[label] for label in fixed.labels]
    assert labels[:3] == ["bees", "ants", "ants"]
    assert "fixes.csv: 1 images left out, 1 relabelled, 1 no longer there" in fixed.notes
    assert [one.path for one in fixed.problems] == [before[0]]
    assert fixed.problems[0].reason == "left out by fixes.csv"
    assert names(read_dataset(dataset.root)) == before  # no file was touched


@pytest.mark.parametrize("header", ["file;action;label", "File\tAction\tLabel\tnotes"])
def test_as_a_spreadsheet_saves_it(tmp_path: Path, dataset: Dataset, header: str) -> None:
    separator = ";" if ";" in header else "\t"
    line = separator.join([names(dataset)[0], "DROP", ""] + ["x"] * (separator == "\t"))
    path = listed(tmp_path, line, header=f"\ufeff{header}")
    assert len(apply_fixes(dataset, path).paths) == len(dataset.paths) - 1


def test_a_class_that_nothing_is_left_of_goes(tmp_path: Path, dataset: Dataset) -> None:
    ants = [f"{name},relabel,bees" for name in names(dataset) if name.startswith("ants")]
    fixed = apply_fixes(dataset, listed(tmp_path, *ants))
    assert fixed.class_names == ("bees", "wasps")
    assert np.bincount(fixed.labels).tolist() == [8, 4]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{0},remove,"], r"line 2: unknown action 'remove'. Expected keep, drop, relabel"),
        (["{0},relabel,"], r"line 2: there is no class ''. Expected one of: ants, bees, wasps"),
        (["{1},keep,", "{0},relabel,hornets"], r"line 3: there is no class 'hornets'"),
        (["{0},drop,", "{0},relabel,bees"], r"line 3: line 2 wants something else of 'ants/"),
        (["{0},relabel,bees", "{0},relabel,wasps"], r"line 3: line 2 wants something else"),
        ([",drop,"], r"line 2: it names no file"),
        (["other/1.jpg,drop,"], r"None of the files in 'fixes.csv' is in 'photos'"),
        (['"{0},drop,'], r"fixes.csv', line \d: unexpected end of data"),
    ],
)
def test_lists_that_cannot_be_applied(
    tmp_path: Path, dataset: Dataset, lines: list[str], message: str
) -> None:
    own = names(dataset)
    fixes = listed(tmp_path, *(line.format(*own) for line in lines))
    with pytest.raises(HeadstartError, match=message):
        apply_fixes(dataset, fixes)


def test_files_that_are_no_list(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(HeadstartError, match=r"'.*none.csv' cannot be read: No such file"):
        apply_fixes(dataset, tmp_path / "none.csv")
    with pytest.raises(HeadstartError, match=r"its first line is 'path,label'. Expected the col"):
        apply_fixes(dataset, listed(tmp_path, header="path,label"))
    (tmp_path / "latin.csv").write_bytes("file,action,label\nä,drop,\n".encode("latin-1"))
    with pytest.raises(HeadstartError, match=r"it is not UTF-8"):
        apply_fixes(dataset, tmp_path / "latin.csv")


def test_fewer_than_two_classes(tmp_path: Path, dataset: Dataset) -> None:
    all_bees = [f"{name},relabel,bees" for name in names(dataset)]
    with pytest.raises(HeadstartError, match=r"The fixes leave one class, 'bees'"):
        apply_fixes(dataset, listed(tmp_path, *all_bees))
    most = [f"{name},drop," for name in names(dataset) if not name.startswith("bees")]
    with pytest.raises(HeadstartError, match=r"Fewer than two classes"):
        apply_fixes(dataset, listed(tmp_path, *most))


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_list_of_a_check_up(tmp_path: Path) -> None:
    findings = [
        Finding("broken", ("ants/broken.jpg",), (), "empty file"),
        Finding("label", ("ants/1.jpg",), ("ants",), "labelled ants", 0.9, "bees"),
        Finding("copy", ("ants/2.jpg", "ants/3.jpg"), ("ants", "ants"), "the very same file"),
        Finding("shortcut", (), ("ants", "bees"), "the camera alone"),
    ]
    rows = read_rows(write_fix_list(findings, tmp_path / "fixes.csv"))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["file"], row["action"], row["label"]) for row in rows] == [
        ("ants/1.jpg", "", "bees"),
        ("ants/2.jpg", "", ""),
        ("ants/3.jpg", "drop", ""),
    ]
    assert rows[2]["evidence"] == "the very same file: ants/2.jpg"


COPIES = [
    Finding("label", ("ants/1.jpg",), ("ants",), "labelled ants", 0.9, "bees"),
    Finding("copy", tuple(f"=a{n}.jpg" for n in range(6)), ("=a",) * 6, "the very same file"),
    Finding("copy", ("c/1.jpg", "c/1.jpg, d.jpg"), ("c", "c"), "the same pixels"),
    Finding("two_labels", ("c/1.jpg", "d/1.jpg"), ("c", "d"), "the very same file"),
]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ants/1.jpg,,", "ants/1.jpg,keep,"),
        ("'=a0.jpg,,", "'=a0.jpg,drop,"),
        ("'=a1.jpg,drop,", "'=a1.jpg,,"),
        ("'=a5.jpg,drop,", "'=a5.jpg,,"),
        ('d.jpg",drop,', 'd.jpg",,'),
        ("d/1.jpg,,", "d/1.jpg,relabel,c"),
        ("label,class", "label,notes,class"),
        (",", ";"),
        ("file,", "\ufefffile,"),
    ],
)
def test_a_list_with_decisions_stays(tmp_path: Path, before: str, after: str) -> None:
    path = write_fix_list(COPIES, tmp_path / "fixes.csv")
    write_fix_list(COPIES, path)  # nothing was decided yet
    assert before in path.read_text(encoding="utf-8")
    edited = path.read_text(encoding="utf-8").replace(before, after)
    path.write_text(edited, encoding="utf-8")
    with pytest.raises(HeadstartError, match=r"is there and is no list as it was written\. Expec"):
        write_fix_list(COPIES, path)
    assert path.read_text(encoding="utf-8") == edited


@pytest.mark.parametrize("content", [b"", b"name,price\n", b"\xff\xd8\xff", b'file,"\n'])
def test_another_file_stays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(HeadstartError, match=r"is there and is no list"):
        write_fix_list(COPIES, tmp_path / "own.csv")
    assert (tmp_path / "own.csv").read_bytes() == content
    with pytest.raises(HeadstartError, match=r"ends in \.csv; received '\.jpg'"):
        write_fix_list(COPIES, tmp_path / "own.jpg")


def test_the_list_that_is_applied_stays(tmp_path: Path) -> None:
    path = write_fix_list(COPIES, tmp_path / "fixes.csv")
    (tmp_path / "link.csv").symlink_to(path)
    check_place(tmp_path / "other.csv", path)
    for same in (path, tmp_path / "link.csv", tmp_path / ".." / tmp_path.name / "fixes.csv"):
        with pytest.raises(HeadstartError, match=r"is the list that is applied"):
            check_place(same, path)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    """Names that a spreadsheet would compute are shielded, and understood again."""
    folder = tmp_path / "photos"
    for name in ("=1+1", "bees"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / name / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    dataset = read_dataset(folder)
    found = [Finding("label", ("=1+1/0.png",), ("=1+1",), "=x", 1.0, "bees")]
    path = write_fix_list(found, tmp_path / "fixes.csv")
    assert read_rows(path)[0]["file"] == "'=1+1/0.png"
    path.write_text(path.read_text().replace("png,,bees", "png,relabel,bees"))
    fixed = apply_fixes(dataset, path)
    assert np.bincount(fixed.labels).tolist() == [2, 4]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(
        HeadstartError, match=r"The list of fixes '.*' cannot be written: its folder"
    ):
        write_fix_list([], tmp_path / "none" / "fixes.csv")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0."), min_size=1)
SHIELDED = st.builds("{}{}".format, st.sampled_from(("'", "''", "=", "'=", "''-", " ")), NAMES)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(NAMES | SHIELDED, min_size=8, max_size=8, unique_by=display))
@example(["'=c", "=c", "''=c", "'c", "c ", " c", "c", "\r"])
def test_any_name_comes_back(tmp_path: Path, dataset: Dataset, found: list[str]) -> None:
    """A line is about the very file that it was written for, and gives it the very class."""
    class_names = tuple(display(name) for name in found)
    paths = tuple(dataset.root / name / name for name in found)
    labels = np.arange(8)
    odd = replace(dataset, paths=paths, labels=labels, class_names=class_names)
    rows = [
        {"file": odd.shown(row), "action": "relabel", "label": class_names[row - 1]}
        for row in range(8)
    ]
    (tmp_path / "fixes.csv").write_text(as_csv(rows), encoding="utf-8")
    fixed = apply_fixes(odd, tmp_path / "fixes.csv")
    assert fixed.labels.tolist() == [7, *range(7)]
