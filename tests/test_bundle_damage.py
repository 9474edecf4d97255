"""Bundles that are damaged, foreign, or made to do harm: one clear error each."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_bundle import FILES
from tiny_run import trained

from headstart import bundle
from headstart.bundle import load
from headstart.errors import HeadstartError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A bundle of the test's own."""
    return shutil.copytree(trained().bundle, tmp_path / "flowers")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_damage_is_told(place: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(place / name)
    lost = rf"'{place}' (is no bundle: its bundle\.json is missing|is damaged: {name} is missing)"
    with pytest.raises(HeadstartError, match=lost):
        load(place)


def test_any_one_changed_letter_of_bundle_json_is_told(place: Path) -> None:
    text = (place / "bundle.json").read_text()
    for old in ("squash", "daisies", '"features": 32', "32,", "0.2"):
        new = old[:-1] + ("t" if old[-1].isalpha() else "7")
        (place / "bundle.json").write_text(text.replace(old, new, 1))
        with pytest.raises(HeadstartError, match=r"no bundle|is damaged: bundle\.json is missing"):
            load(place)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "[" * 100_000, '{"format": 1', "\0"])
def test_what_is_no_bundle(tmp_path: Path, content: str) -> None:
    (tmp_path / "bundle.json").write_text(content)
    with pytest.raises(HeadstartError, match=rf"'{tmp_path}' is no bundle: .* headstart fit wrote"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["missing", "flowers/bundle.json", "flowers/missing", "a\0b"])
def test_a_place_without_a_bundle(place: Path, name: str) -> None:
    with pytest.raises(HeadstartError, match=r"is no bundle: .* Check the path, or train again\."):
        load(place.parent / name)


def rewrite(folder: Path, **values: Any) -> None:
    """Change what a bundle says of itself as someone would who means to."""
    about = json.loads((folder / "bundle.json").read_text()) | values
    about = {name: value for name, value in about.items() if value is not ...}
    bundle._write_json(folder / "bundle.json", {**about, "checksum": bundle._checksum(about)})


@pytest.mark.parametrize("written", [2, 0, "1", None])
def test_another_format(place: Path, written: Any) -> None:
    rewrite(place, format=written)
    with pytest.raises(
        HeadstartError, match=rf"has format {written}\. Expected format 1\. Install"
    ):
        load(place)


@pytest.mark.parametrize(
    "values",
    [
        {"files": {}, "class_names": 3},
        {"files": 3},
        {"files": [["head.safetensors"]]},
        {"files": {"head.safetensors": None}},
        {"files": {"../../elsewhere": "0" * 64}},
        {"files": {"/dev/zero": "0" * 64}},
        {"head": ...},
        {"resize": ...},
        {"features": "32"},
        {"class_names": ["a"]},
        {"prefix": {}},
        {"prefix": {"image_size": 3}},
        {"prefix": "tiny"},
    ],
)
def test_a_bundle_that_was_tampered_with(place: Path, values: dict[str, Any]) -> None:
    rewrite(place, **values)
    with pytest.raises(HeadstartError, match=r"incomplete|is damaged|The head does not fit"):
        load(place)


def test_no_file_outside_is_read(place: Path) -> None:
    outside = place.parent / "outside"
    outside.touch()
    rewrite(place, files={"../outside": hashlib.sha256(b"").hexdigest()})
    with pytest.raises(HeadstartError, match=r"is damaged: \.\./outside is missing"):
        load(place)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_head_that_was_tampered_with(place: Path, content: bytes) -> None:
    (place / "head.safetensors").write_bytes(content)
    rewrite(place, files={"head.safetensors": hashlib.sha256(content).hexdigest()})
    with pytest.raises(HeadstartError, match=r"incomplete|layers of the head do not fit"):
        load(place)
