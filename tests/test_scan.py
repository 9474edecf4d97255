from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from headstart.errors import DatasetError
from headstart.scan import Scan, display, scan_folder

JPEG = b"\xff\xd8\xff\xe0 the beginning of an image"


def put(path: Path, data: bytes = JPEG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def reasons(scan: Scan) -> dict[str, str]:
    return {problem.path: problem.reason for problem in scan.problems}


def test_every_kind_of_file(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.jpg")
    put(tmp_path / "a" / "deep" / "er" / "2")
    put(tmp_path / "a" / "empty.jpg", b"")
    put(tmp_path / "a" / "readme.txt", b"text")
    put(tmp_path / "a" / ".DS_Store")
    put(tmp_path / "a" / "Thumbs.db")
    put(tmp_path / "__MACOSX" / "a" / "._1.jpg")
    put(tmp_path / ".git" / "x" / "1.jpg")
    scan = scan_folder(str(tmp_path))
    assert [one.replace(os.sep, "/") for one in scan.images] == ["a/1.jpg", "a/deep/er/2"]
    assert reasons(scan) == {
        "a/empty.jpg": "empty file",
        "a/readme.txt": "not an image",
        "a/.DS_Store": "hidden file",
        "a/Thumbs.db": "hidden file",
        "__MACOSX/a/._1.jpg": "in a hidden folder",
        ".git/x/1.jpg": "in a hidden folder",
    }
    assert "a" in scan.folders
    assert ".git" not in scan.folders


@pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
def test_pipes_and_sockets_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    monkeypatch.chdir(tmp_path)  # the path of a socket may be 100 characters long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        scan = scan_folder(str(tmp_path))
    kind = "not a regular file"
    assert reasons(scan) == {"pipe.jpg": kind, "socket.jpg": kind, "link.jpg": kind}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links(tmp_path: Path) -> None:
    source = tmp_path / "source"
    put(source / "b" / "1.jpg")
    put(tmp_path / "else" / "2.jpg")
    (source / "a").symlink_to("b")  # comes first by name, and yet b is the folder that is read
    (source / "b" / "loop").symlink_to("..")
    (source / "b" / "self").symlink_to("self")
    (source / "b" / "up").symlink_to(tmp_path)
    (source / "b" / "gone.jpg").symlink_to("nowhere")
    (source / "b" / "file.jpg").symlink_to("1.jpg")
    (source / "c").symlink_to(tmp_path / "else")
    (source / "d").symlink_to(tmp_path / "else")
    scan = scan_folder(str(source))
    assert scan.images == ("b/1.jpg", "b/file.jpg", "c/2.jpg")
    known = "link to a folder that is read already"
    nowhere = "link that leads nowhere"
    assert reasons(scan) == {
        "a": known,
        "d": known,
        "b/loop": known,
        "b/up": known,
        "b/self": nowhere,
        "b/gone.jpg": nowhere,
    }


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a" / "1.jpg")
    put(tmp_path / "shut" / "2.jpg")
    real_open, real_scandir = os.open, os.scandir

    def no_open(path: str, *rest: int) -> int:
        if str(path).endswith("1.jpg"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *rest)

    def no_scandir(path: str) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_open)
        patch.setattr(os, "scandir", no_scandir)
        found = reasons(scan_folder(str(tmp_path)))
    assert found == {
        "a/1.jpg": "cannot be read: Permission denied",
        "shut": "folder cannot be read: Permission denied",
    }


def test_an_unreadable_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match="cannot be read: Permission denied"):
        scan_folder(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain é ü 猫 🐈", "plain é ü 猫 🐈"),
        ("e\u0301", "é"),
        ("two\nlines\t", "two\\nlines\\t"),
        ("caf\udce9", "caf\\xe9"),
        ("half\ud83d", "half\\xed\\xa0\\xbd"),
        ("turn\u202egpj", "turn\\u202egpj"),
        ("non\u00a0breaking\u200djoined", "non\u00a0breaking\u200djoined"),
    ],
)
def test_display(name: str, expected: str) -> None:
    assert display(name) == expected
    expected.encode()


def test_the_order_is_that_of_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b/2.jpg", "a b/1.jpg", "a/3.jpg", "a/1.jpg", "a/B.jpg"):
        put(tmp_path / name)
    expected = ["a/1.jpg", "a/3.jpg", "a/B.jpg", "a b/1.jpg", "b/2.jpg"]
    assert [one.replace(os.sep, "/") for one in scan_folder(str(tmp_path)).images] == expected
