"""Notes in the cache: read, written, and none where they are damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from headstart.notes import noted, read_note, write_note


@dataclass(frozen=True)
class Facts:
    width: int
    format: int = 2


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.json"
    assert read_note(path) == {}
    write_note(path, {"folder": "ä"})
    assert read_note(path) == {"folder": "ä"}


def test_a_place_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write_note(tmp_path / "file" / "note.json", {"a": 1})
    assert read_note(tmp_path / "file" / "note.json") == {}


def test_facts_are_found_once(tmp_path: Path) -> None:
    found: list[int] = []

    def find() -> Facts:
        found.append(1)
        return Facts(7)

    for _ in range(3):
        assert noted(tmp_path / "note.json", Facts, 2, find) == Facts(7)
    assert len(found) == 1


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"width": 5, "format": 1}', '{"format": 2}'])
def test_what_cannot_be_understood_is_found_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "note.json"
    path.write_text(text)
    assert noted(path, Facts, 2, lambda: Facts(7)) == Facts(7)
    assert read_note(path) == {"width": 7, "format": 2}
