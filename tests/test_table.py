from __future__ import annotations

from pathlib import Path

import pytest

from headstart.dataset import Dataset, read_dataset
from headstart.errors import DatasetError
from headstart.table import is_table, read_table

JPEG = b"\xff\xd8\xff\xe0 the beginning of an image"
TWO = "1.jpg,cat\n2.jpg,dog\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("1.jpg", "2.jpg", "in/3.jpg", "in/two\nlines.jpg", "in/a;b,c.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    (tmp_path / "text.jpg").write_bytes(b"text")
    (tmp_path / "empty.jpg").touch()
    return tmp_path


def read(folder: Path, text: str | bytes) -> Dataset:
    table = folder / "list.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_dataset(table)


def pairs(dataset: Dataset) -> list[tuple[str, str]]:
    labels = [dataset.class_names[label] for label in dataset.labels]
    return [(path.name, label) for path, label in zip(dataset.paths, labels, strict=True)]


@pytest.mark.parametrize(
    "text",
    [
        "path,label\n" + TWO,
        "file_name,label\n" + TWO,
        "\ufeffpath,label\n" + TWO,
        "path,label\r\n1.jpg,cat\r\n\r\n2.jpg,dog\r\n",
        "Path , LABEL\n1.jpg, cat \n./2.jpg,dog",
        "path;label\n1.jpg;cat\n2.jpg;dog\n",
        "path\tlabel\n1.jpg\tcat\n2.jpg\tdog\n",
        '"path","label"\n"1.jpg","cat"\n"2.jpg","dog"\n',
        "id,label,note,path\n7,cat,,1.jpg\n8,dog,,in/../2.jpg\n",
    ],
)
def test_forms_of_a_table(folder: Path, text: str) -> None:
    dataset = read(folder, text)
    assert pairs(dataset) == [("1.jpg", "cat"), ("2.jpg", "dog")]
    assert dataset.class_names == ("cat", "dog")
    assert (dataset.name, dataset.found, dataset.problems) == ("list", 2, ())


def test_quoted_names(folder: Path) -> None:
    dataset = read(folder, 'path,label\n"in/two\nlines.jpg","a\nb"\n"in/a;b,c.jpg","c,d"\n')
    assert pairs(dataset) == [("two\nlines.jpg", "a\\nb"), ("a;b,c.jpg", "c,d")]


@pytest.mark.parametrize(
    ("row", "path", "reason"),
    [
        ("gone.jpg,cat", "gone.jpg", "no such file: line 4"),
        ("in\\3.jpg,cat", "in\\3.jpg", "no such file, folders are separated by '/': line 4"),
        ("in/3.jpg,", "in/3.jpg", "empty label: line 4"),
        (" ,cat", "list.csv", "empty path: line 4"),
        ("in/3.jpg", "in/3.jpg", "1 cells, the header has 2: line 4"),
        ("in/3.jpg,cat,x", "in/3.jpg", "3 cells, the header has 2: line 4"),
        ("1.jpg,cat", "1.jpg", "listed twice: line 4, already in line 2"),
        ("in/../1.jpg,cat", "1.jpg", "listed twice: line 4, already in line 2"),
        ("text.jpg,cat", "text.jpg", "not an image: line 4"),
        ("empty.jpg,cat", "empty.jpg", "empty file: line 4"),
        ("in,cat", "in", "a folder: line 4"),
        ("a\0b,cat", "a\\x00b", "no such file: line 4"),
    ],
)
def test_bad_rows(folder: Path, row: str, path: str, reason: str) -> None:
    dataset = read(folder, f"path,label\n{TWO}{row}\n")
    assert [(problem.path, problem.reason) for problem in dataset.problems] == [(path, reason)]
    assert dataset.found == 3


def test_two_labels_for_one_file(folder: Path) -> None:
    dataset = read(folder, f"path,label\n{TWO}in/3.jpg,cat\nin/3.jpg,dog\n")
    assert [problem.reason for problem in dataset.problems] == [
        "listed again with another label or split: line 4",
        "listed again with another label or split: line 5",
    ]


def test_split_column(folder: Path) -> None:
    rows = "1.jpg,cat,train\n2.jpg,dog,\nin/3.jpg,cat,Valid\nin/a;b,c.jpg,dog,test\n"
    text = "path,label,split\n" + rows.replace("in/a;b,c.jpg", '"in/a;b,c.jpg"')
    assert read(folder, text).parts.tolist() == [0, -1, 1, 2]


def test_unknown_split(folder: Path) -> None:
    dataset = read(folder, "path,label,split\n1.jpg,a,\n2.jpg,b,\nin/3.jpg,a,holdout\n")
    assert dataset.problems[0].reason == "unknown split 'holdout': line 4"


def test_validation_is_the_test_part(folder: Path) -> None:
    dataset = read(folder, "path,label,split\n1.jpg,a,train\n2.jpg,b,train\nin/3.jpg,a,val\n")
    assert dataset.parts.tolist() == [0, 0, 2]


def test_a_class_that_only_test_has(folder: Path) -> None:
    rows = "1.jpg,a,train\n2.jpg,b,train\nin/3.jpg,new,test\n"
    dataset = read(folder, "path,label,split\n" + rows)
    assert dataset.problems[0].reason == "no image of its class to train on"
    assert dataset.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            "its first line is 'a,b'. Expected UTF-8 text whose first line is 'path,label'",
        ),
        ("1.jpg,cat\n", "its first line is '1.jpg,cat'"),
        ("path,label,label\n", "its first line is"),
        ("path label\n", "its first line is 'path label'"),
        ("path,label\n1.jpg,caf\xe9\n".encode("latin-1"), "it is not UTF-8"),
        ("path,label\n1.jpg,cat\n".encode("utf-16"), "it is not UTF-8"),
        ('path,label\n"1.jpg"x,cat\n', "line 2: ',' expected after"),
        ("path,label\n", "images of 0 classes"),
        (
            "path,label\n1.jpg,cat\nx.jpg,dog\n",
            "of 1 classes.*1 of 2 rows.*'x.jpg' .no such file",
        ),
    ],
)
def test_refused_tables(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(folder, text)


def test_paths_may_leave_a_table_of_ones_own(folder: Path) -> None:
    text = f"path,label\n../2.jpg,a\n{folder / '1.jpg'},b\n"
    (folder / "in" / "list.csv").write_text(text)
    assert len(read_dataset(folder / "in" / "list.csv").paths) == 2


def test_paths_may_not_leave_a_confined_table(folder: Path) -> None:
    path = folder / "in" / "list.csv"
    path.write_text(f"path,label\n../2.jpg,a\n{folder / '1.jpg'},b\n3.jpg,a\n../in/3.jpg,a\n")
    table = read_table(path, confined=True)
    assert [row.line for row in table.rows] == [4]
    assert [problem.reason.split(":")[0] for problem in table.problems] == [
        "path leads out of the archive",
        "path leads out of the archive",
        "listed twice",
    ]


def test_is_table(folder: Path) -> None:
    for text, expected in (("path,label\n", True), ("a,b\n", False), ("\xff", False)):
        (folder / "x.csv").write_text(text, encoding="latin-1")
        assert is_table(folder / "x.csv") is expected
    assert not is_table(folder / "none.csv")
