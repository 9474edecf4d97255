from __future__ import annotations

import os
import shutil
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from headstart import archive
from headstart.dataset import Dataset, read_dataset
from headstart.errors import DatasetError

JPEG = b"\xff\xd8\xff\xe0 the beginning of an image"
Entry = tuple[str, bytes]


def pack(path: Path, *entries: str | Entry, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        with zipfile.ZipFile(path, "w", method) as file:
            for entry in entries:
                name, data = (entry, JPEG) if isinstance(entry, str) else entry
                info = zipfile.ZipInfo("x")
                info.filename, info.compress_type = name, method
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                file.writestr(info, data)
    return path


def shown(dataset: Dataset) -> list[tuple[str, str]]:
    labels = [dataset.class_names[label] for label in dataset.labels]
    names = [path.relative_to(dataset.root).as_posix() for path in dataset.paths]
    return list(zip(names, labels, strict=True))


def problems(dataset: Dataset) -> dict[str, str]:
    return {problem.path: problem.reason for problem in dataset.problems}


@pytest.mark.parametrize("wrapper", ["", "flowers/", "a/b/"])
def test_class_folders(tmp_path: Path, wrapper: str) -> None:
    names = [f"{wrapper}{name}" for name in ("rose/1.jpg", "rose/2.jpg", "tulip/1.jpg")]
    source = pack(tmp_path / "x.zip", *names, "__MACOSX/._x", f"{wrapper}.DS_Store")
    dataset = read_dataset(source, cache=tmp_path / "cache")
    assert dataset.name == "x"
    assert dataset.class_names == ("rose", "tulip")
    assert [name for name, _ in shown(dataset)] == names
    assert dataset.found == 5


def test_ready_made_parts(tmp_path: Path) -> None:
    names = [f"data/{part}/{name}/1.jpg" for part in ("test", "train") for name in "ab"]
    dataset = read_dataset(pack(tmp_path / "x.zip", *names), cache=tmp_path / "cache")
    assert dataset.parts.tolist() == [2, 2, 0, 0]


def test_a_train_folder_is_no_wrapper(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.zip", "train/a/1.jpg", "train/b/1.jpg")
    assert read_dataset(source, cache=tmp_path / "cache").parts.tolist() == [0, 0]


def test_an_empty_class_folder(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.zip", "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", ("c/", b""))
    dataset = read_dataset(source, cache=tmp_path / "cache")
    assert dataset.notes == ("1 class without an image: c",)


@pytest.mark.parametrize("wrapper", ["", "set/"])
def test_a_table(tmp_path: Path, wrapper: str) -> None:
    rows = (
        "path,label\nimages/1.jpg,a\nimages/2.jpg,b\n../../x.jpg,a\n/etc/passwd,a\nimages/e.jpg,a\n"
    )
    names = [f"{wrapper}images/{name}.jpg" for name in ("1", "2", "3")]
    extra = [(f"{wrapper}labels.csv", rows.encode()), (f"{wrapper}images/e.jpg", b"")]
    dataset = read_dataset(pack(tmp_path / "x.zip", *names, *extra), cache=tmp_path / "cache")
    assert shown(dataset) == [(names[0], "a"), (names[1], "b")]
    assert problems(dataset) == {
        "../../x.jpg": "path leads out of the archive: line 4",
        "/etc/passwd": "path leads out of the archive: line 5",
        "images/e.jpg": "empty file: line 6",
        names[2]: "not listed in labels.csv",
    }


def test_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pack(tmp_path / "x.zip", "a/1.jpg", "b/1.jpg")
    first = archive.unpack(source, tmp_path / "cache")
    monkeypatch.setattr(archive, "_write", None)
    assert archive.unpack(source, tmp_path / "cache") == first
    shutil.copy(source, tmp_path / "y.zip")
    assert archive.unpack(tmp_path / "y.zip", tmp_path / "cache") == first


def test_a_tidied_cache_is_filled_again(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.zip", "a/1.jpg", "b/1.jpg")
    folder = archive.unpack(source, tmp_path / "cache")
    (folder / "a" / "1.jpg").unlink()
    assert archive.unpack(source, tmp_path / "cache") == folder
    assert (folder / "a" / "1.jpg").read_bytes() == JPEG


def test_the_default_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "chosen"))
    folder = archive.unpack(pack(tmp_path / "x.zip", "a/1.jpg"))
    assert folder.parent == tmp_path / "chosen" / "archives"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.jpg", "leads elsewhere"),
        ("a/../../evil.jpg", "leads elsewhere"),
        ("a/./x.jpg", "leads elsewhere"),
        ("a//x.jpg", "leads elsewhere"),
        ("..", "leads elsewhere"),
        ("", "leads elsewhere"),
        ("/etc/evil.jpg", "absolute name"),
        ("C:/evil.jpg", "absolute name"),
        ("c:evil.jpg", "absolute name"),
        ("a\\..\\evil.jpg", "NUL or a backslash"),
        ("a/x.jpg\0.txt", "NUL or a backslash"),
        ("a/" * 40 + "x.jpg", "more than 32 folders deep"),
    ],
)
def test_hostile_names(tmp_path: Path, name: str, message: str) -> None:
    refused(pack(tmp_path / "x.zip", "a/1.jpg", name), tmp_path, message)


def refused(source: Path, tmp_path: Path, message: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match=message):
        archive.unpack(source, tmp_path / "cache")
    after = [path for path in tmp_path.rglob("*") if "cache" not in path.parts]
    assert sorted(after) == before
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("a/1.jpg", "a/1.jpg"), "'a/1.jpg' occurs twice"),
        (("a", "a/1.jpg"), "'a' is both a file and a folder"),
        (("a/b/1.jpg", "a/b"), "'a/b' is both a file and a folder"),
    ],
)
def test_names_that_clash(tmp_path: Path, entries: tuple[str, ...], message: str) -> None:
    refused(pack(tmp_path / "x.zip", *entries), tmp_path, message)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (stat.S_IFLNK, "is a link"),
        (stat.S_IFIFO, "is a special file"),
        (stat.S_IFCHR, "is a special file"),
        (stat.S_IFSOCK, "is a special file"),
    ],
)
def test_links_and_special_files(tmp_path: Path, mode: int, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        info = zipfile.ZipInfo("a/1.jpg")
        info.external_attr = (mode | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    refused(tmp_path / "x.zip", tmp_path, message)


def test_a_bomb_by_its_own_declaration(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.zip", ("a/1.jpg", bytes(60_000_000)))
    refused(source, tmp_path, "unpacks to [0-9]+ times its own size")


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [("MAX_BYTES", 10, "unpacks to 0 GB"), ("MAX_ENTRIES", 1, "holds 2 entries, at most 1")],
)
def test_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str
) -> None:
    monkeypatch.setattr(archive, limit, value)
    refused(pack(tmp_path / "x.zip", "a/1.jpg", "b/1.jpg"), tmp_path, message)


def edit(path: Path, change: Callable[[bytearray, int, int], None]) -> Path:
    """Change an archive's bytes, given where its first local and central headers begin."""
    data = bytearray(path.read_bytes())
    change(data, data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02"))
    path.write_bytes(data)
    return path


def test_a_bomb_that_declares_less(tmp_path: Path) -> None:
    def shrink(data: bytearray, local: int, central: int) -> None:
        data[local + 22 : local + 26] = data[central + 24 : central + 28] = struct.pack("<I", 10)

    source = edit(pack(tmp_path / "x.zip", ("a/1.jpg", bytes(5_000_000))), shrink)
    refused(source, tmp_path, "damaged or not a zip file|not of the size it declares")


def test_a_file_that_is_shorter_than_declared(tmp_path: Path) -> None:
    def grow(data: bytearray, local: int, central: int) -> None:
        data[local + 22 : local + 26] = data[central + 24 : central + 28] = struct.pack("<I", 5000)

    source = edit(pack(tmp_path / "x.zip", "a/1.jpg"), grow)
    refused(source, tmp_path, "not of the size it declares|damaged")


def test_overlapping_entries(tmp_path: Path) -> None:
    def overlap(data: bytearray, local: int, central: int) -> None:
        second = data.index(b"PK\x01\x02", central + 4)
        data[central + 20 : central + 24] = struct.pack("<I", len(data))
        data[second + 20 : second + 24] = struct.pack("<I", len(data))

    refused(
        edit(pack(tmp_path / "x.zip", "a/1.jpg", "b/1.jpg"), overlap), tmp_path, "entries overlap"
    )


def test_an_encrypted_file(tmp_path: Path) -> None:
    def encrypt(data: bytearray, local: int, central: int) -> None:
        data[local + 6] |= 1
        data[central + 8] |= 1

    refused(edit(pack(tmp_path / "x.zip", "a/1.jpg"), encrypt), tmp_path, "is encrypted")


@pytest.mark.parametrize("keep", [5, 60, 150, 250])
def test_a_truncated_archive(tmp_path: Path, keep: int) -> None:
    source = pack(tmp_path / "x.zip", "a/1.jpg", "b/1.jpg")
    source.write_bytes(source.read_bytes()[:keep])
    refused(source, tmp_path, "damaged or not a zip file")


def test_damage_anywhere_gives_one_kind_of_error(tmp_path: Path) -> None:
    whole = pack(tmp_path / "x.zip", "a/1.jpg", "b/1.jpg").read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x5A
        (tmp_path / "x.zip").write_bytes(damaged)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        with suppress(DatasetError):  # any other error fails
            archive.unpack(tmp_path / "x.zip", tmp_path / "cache")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused(pack(tmp_path / "x.zip", "a/1.jpg"), tmp_path, "only 0 MB are free in the cache folder")


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DatasetError, match=r"cannot be unpacked: .* Free some room, or set HEADSTART"
    ):
        archive.unpack(pack(tmp_path / "x.zip", "a/1.jpg"), tmp_path / "file")


def test_files_that_differ_in_case_only(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.zip", "a/1.jpg", "A/1.jpg", "a/1.JPG")
    if (tmp_path / "X.ZIP").exists():  # a file system that ignores case
        refused(source, tmp_path, "occurs twice")
        return
    folder = archive.unpack(source, tmp_path / "cache")
    assert sum(len(files) for _, _, files in os.walk(folder)) == 3


@pytest.mark.parametrize("name", ["con.jpg", "a:b", "NUL", "end.", "end ", "x?.jpg", "lpt1"])
def test_names_that_windows_cannot_hold(name: str) -> None:
    assert archive.is_bad_on_windows(["a", name])
    assert not archive.is_bad_on_windows(["console.jpg"])


def test_a_file_is_never_written_over_another(tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(tmp_path / "x.zip", "a.jpg")) as file:
        (tmp_path / "a.jpg").touch()  # as A.jpg would be, where the file system ignores case
        with pytest.raises(DatasetError, match=r"'a\.jpg' occurs twice"):
            archive._write(file, file.infolist()[0], tmp_path, "x.zip")
