"""Answers that need no network, for the tests of `headstart.batch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from headstart.answers import Prediction, Unreadable
from headstart.batch.columns import Answer, Columns
from headstart.batch.table import Counts, Table, write_table
from headstart.listing import Files

CLASSES = ("rose", "tulip")
GIF = b"GIF89a" + b"\0" * 26


def answer(path: str) -> Answer:
    """Of a path: unreadable where it says `bad`, else a class by its length."""
    if "bad" in path:
        return Unreadable(path, "broken")
    share = 0.5 + (len(path) % 50) / 100
    label, other = CLASSES if len(path) % 2 else CLASSES[::-1]
    chances = {label: share, other: 1 - share}
    return Prediction(label, share, chances, path, (label,), unknown="odd" in path)


class Killed(Exception):
    """What stands for kill -9 within a test."""


class Classify:
    """Answers paths; after `most` of them it is killed. `asked` holds the paths it was given."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.most = most
        self.asked: list[str] = []

    def __call__(self, paths: Iterable[str]) -> Iterator[Answer]:
        for path in paths:
            if len(self.asked) == self.most:
                raise Killed
            self.asked.append(path)
            yield answer(path)


def make_files(root: Path, *names: str) -> Path:
    """Files that begin as images do, but for those that end in .txt."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"text" if name.endswith(".txt") else GIF)
    return root


def write(table: Path, folder: Path, classify: Classify, belongs: str = "a bundle") -> Counts:
    """A table of all files in a folder, with every column."""
    columns = Columns(2, CLASSES)
    return write_table(classify, Files([folder]), Table(table, columns, (belongs,)))
