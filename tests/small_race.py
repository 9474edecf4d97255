"""Ranking on few images, and which images it looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headstart.features import extract
from headstart.ranking import race


def shrink_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a race begin with as few as 12 images, 4 of a class."""
    monkeypatch.setattr(race, "_LEAST", 12)
    monkeypatch.setattr(race, "_LEAST_OF_CLASS", 4)


def note_images(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """The images that candidates are judged by from now on, as they come."""
    seen: set[Path] = set()

    def listening(images: Any, *values: Any, **options: Any) -> Any:
        seen.update(map(Path, images))
        return extract(images, *values, **options)

    monkeypatch.setattr(race, "extract", listening)
    return seen
