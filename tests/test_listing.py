from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from headstart import listing
from headstart.errors import HeadstartError
from headstart.listing import find_files

JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 28


def names(paths: Iterable[str]) -> list[str]:
    return [Path(path).name for path in paths]


def make_files(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG if name.endswith(("jpg", "data")) else b"some text, no image at all")
    return root


def test_folders_give_their_images_sorted_and_files_are_taken_as_named(tmp_path: Path) -> None:
    make_files(tmp_path, "in/b.jpg", "in/a.jpg", "in/deep/c.data", "in/notes.txt", "in/fake.png")
    make_files(tmp_path, "z.txt")
    found = find_files([tmp_path / "z.txt", tmp_path / "in", tmp_path / "in/a.jpg"])
    paths = [Path(path).relative_to(tmp_path).as_posix() for path in found]
    assert paths == ["z.txt", "in/a.jpg", "in/b.jpg", "in/deep/c.data", "in/a.jpg"]
    assert found.count() == 7  # all files, looked into or not


def test_what_is_no_image_is_passed_over_and_told(tmp_path: Path) -> None:
    make_files(tmp_path, "b.txt", "a.jpg", "c.txt")
    passed: list[int] = []
    files = find_files([tmp_path])
    assert names(files.images(passed=lambda: passed.append(1))) == ["a.jpg"]
    assert len(passed) == 2


def test_a_pipe_in_a_folder_is_not_opened(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert list(find_files([tmp_path])) == [str(tmp_path / "a.jpg")]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing", r"There is no file or folder '.*missing'\. Expected images or folders"),
        ("new\nline", r"There is no file or folder '.*new\\nline'\."),
        ("texts", r"No images in '.*texts'\. Expected JPEG, PNG"),
    ],
)
def test_nothing_to_predict(tmp_path: Path, place: str, message: str) -> None:
    make_files(tmp_path, "texts/a.txt", "good/a.jpg")
    with pytest.raises(HeadstartError, match=message):
        find_files([tmp_path / place])


def test_a_file_that_cannot_be_opened_is_kept_for_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_files(tmp_path, "a.jpg", "secret.jpg")
    opened = open

    def refused(path: str, mode: str) -> io.IOBase:
        if path.endswith("secret.jpg"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, "rb")

    monkeypatch.setattr(listing, "open", refused, raising=False)
    assert names(find_files([tmp_path])) == ["a.jpg", "secret.jpg"]


def test_a_folder_that_cannot_be_read_is_no_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_files(tmp_path, "a.jpg", "secret/b.jpg")
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(PermissionError, match="secret"):
        find_files([tmp_path]).count()
