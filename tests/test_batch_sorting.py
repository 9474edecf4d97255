"""Images sorted into folders: nothing overwritten, nothing twice, nothing outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from batch_material import GIF, make_files
from tiny_run import trained

from headstart.answers import Prediction
from headstart.batch import sort_into
from headstart.batch.folders import folder_names
from headstart.batch.sorting import Sorter, Sorting
from headstart.errors import HeadstartError

HOSTILE = [
    "../../etc", "..", ".", "", "/etc/passwd", "a/b", "a\\b", "C:\\x", "nul", "COM1.txt", "a\0b",
    "line\nbreak", "x" * 300, "\u0416" * 300, "unsure", "Unsure", "rose", "ROSE", "rose.", " rose ",
    ".hidden", "~", "bad \udcff", "\u202eevil",
]  # fmt: skip


def test_hostile_class_names_stay_inside(tmp_path: Path) -> None:
    names = folder_names(HOSTILE)
    assert set(names) == set(HOSTILE)
    assert names["a/b"] == "a_b"
    assert names["unsure"] == "unsure (2)"
    assert len({name.casefold() for name in names.values()}) == len(HOSTILE)
    for name in names.values():
        (tmp_path / name).mkdir()
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert len(list(tmp_path.iterdir())) == len(HOSTILE)


def put_all(folder: Path, paths: list[Path], *, copy: bool, label: str = "rose") -> list[str]:
    sorter = Sorter(Sorting(folder, copy, 0.6), ("rose", "tulip"), [])
    places = [sorter.put(Prediction(label, 0.9, {label: 0.9}, str(path))) for path in paths]
    return [place.relative_to(folder).as_posix() for place in places]


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("copy", [False, True])
def test_the_same_name_from_many_folders_gets_a_number(tmp_path: Path, copy: bool) -> None:
    photos = make_files(tmp_path / "photos", *[f"{number:02}/a.b.gif" for number in range(12)])
    paths = sorted(photos.rglob("*.gif"))
    for number, path in enumerate(paths):
        path.write_bytes(GIF + bytes([number]))
    before = content(photos)
    first = put_all(tmp_path / "sorted", paths, copy=copy)
    assert first[:3] == ["rose/a.b.gif", "rose/a.b (2).gif", "rose/a.b (3).gif"]
    made = content(tmp_path / "sorted")
    assert [made[name] for name in first] == [path.read_bytes() for path in paths]
    assert put_all(tmp_path / "sorted", paths[::-1], copy=copy) == first[::-1]
    assert content(tmp_path / "sorted") == made
    assert content(photos) == before
    assert all(path.is_symlink() != copy for path in (tmp_path / "sorted" / "rose").iterdir())


@pytest.mark.parametrize("copy", [False, True])
def test_nothing_is_overwritten(tmp_path: Path, copy: bool) -> None:
    photos = make_files(tmp_path / "photos", "a.gif", "long.gif")
    long = photos / ("\u0416" * 125 + ".gif")
    (photos / "long.gif").rename(long)
    taken = tmp_path / "sorted" / "rose"
    taken.mkdir(parents=True)
    (taken / "a.gif").write_bytes(b"mine")
    (taken / "a (2).gif").mkdir()
    (taken / "a (3).gif").symlink_to("nowhere")
    (taken / long.name).write_bytes(b"mine")
    places = put_all(tmp_path / "sorted", [photos / "a.gif", long], copy=copy)
    assert places[0] == "rose/a (4).gif"
    assert places[1].endswith("\u0416 (2).gif")
    assert (taken / "a.gif").read_bytes() == (taken / long.name).read_bytes() == b"mine"
    assert os.readlink(taken / "a (3).gif") == "nowhere"


@pytest.mark.parametrize(
    ("probability", "candidates", "unknown", "folder"),
    [
        (0.6, ("rose",), False, "rose"),
        (0.59, ("rose",), False, "unsure"),
        (0.9, None, False, "rose"),
        (0.9, ("rose", "tulip"), False, "rose"),
        (0.9, (), False, "unsure"),
        (0.9, ("rose",), True, "unsure"),
    ],
)
def test_what_is_unsure(
    tmp_path: Path,
    probability: float,
    candidates: tuple[str, ...] | None,
    unknown: bool,
    folder: str,
) -> None:
    make_files(tmp_path, "a.gif")
    one = Prediction("rose", probability, {}, str(tmp_path / "a.gif"), candidates, unknown)
    sorter = Sorter(Sorting(tmp_path / "sorted", sure=0.6), ("rose",), [])
    assert sorter.put(one) == tmp_path / "sorted" / folder / "a.gif"


@pytest.mark.parametrize(
    ("place", "folder"),
    [("photos", "photos"), ("photos", "photos/new"), ("sorted/rose/new", "sorted"), ("rose", ".")],
)
def test_a_folder_among_the_images_is_refused(tmp_path: Path, place: str, folder: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(HeadstartError, match="would lie among the images in"):
        Sorter(Sorting(tmp_path / folder), ("rose",), [tmp_path / place])


def test_a_file_is_no_folder_to_sort_into(tmp_path: Path) -> None:
    make_files(tmp_path, "a.gif")
    with pytest.raises(HeadstartError, match="cannot be the folder to sort into: File exists"):
        Sorter(Sorting(tmp_path / "a.gif"), ("rose",), [])


def test_where_links_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: str, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.symlink", refused)
    with pytest.raises(HeadstartError, match=r"Operation not permitted.*use --copy"):
        put_all(tmp_path / "sorted", make_two(tmp_path), copy=False)


def test_copies_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    assert put_all(tmp_path / "sorted", make_two(tmp_path), copy=True)[1] == "rose/b.gif"
    assert sorted(content(tmp_path / "sorted")) == ["rose/a.gif", "rose/b.gif"]


def make_two(folder: Path) -> list[Path]:
    return sorted(make_files(folder / "photos", "a.gif", "b.gif").iterdir())


def test_python_sorts_all_and_leaves_broken_ones(tmp_path: Path) -> None:
    one = trained()
    make_files(tmp_path, "broken.gif")
    answers = list(sort_into(one.bundle, [one.photos, tmp_path / "broken.gif"], tmp_path / "out"))
    assert len(answers) == 61
    links = [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]
    assert sorted(map(os.readlink, links)) == [str(path.absolute()) for path in one.paths]


@pytest.mark.parametrize("sure", [-0.1, 1.1, float("nan")])
def test_senseless_sureness(tmp_path: Path, sure: float) -> None:
    with pytest.raises(HeadstartError, match=r"Expected 0 to 1"):
        next(sort_into(trained().bundle, trained().photos, tmp_path / "out", sure=sure))
