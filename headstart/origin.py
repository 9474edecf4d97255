"""Where the images of a bundle lie on this machine: a note in the cache, never in the bundle.

A bundle may be given away and tells nobody's folders. With the note, an export made where the
bundle was trained is checked on the validation images without naming them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headstart.locations import cache_root
from headstart.notes import read_note, write_note

MOST = 200  # images noted of each part, drawn with a fixed seed
PARTS = ("train", "validation")
Listed = Sequence[tuple[Path, str]]  # files, each with its class


def note_origin(checksum: str, files: Mapping[str, Listed]) -> None:
    """Note some images of the training and the validation part of a bundle.

    Args:
        checksum: What bundle.json says of itself.
        files: The images of each part, each with its class.
    """
    noted = {
        part: [(os.path.abspath(path), name) for path, name in drawn(files[part])] for part in PARTS
    }
    write_note(_place(checksum), noted)


def read_origin(checksum: str) -> dict[str, Listed]:
    """The noted images that are still there; nothing where the bundle was not trained here."""
    try:
        noted = read_note(_place(checksum))
        return {
            part: [(Path(path), str(name)) for path, name in noted[part] if os.path.isfile(path)]
            for part in PARTS
        }
    except (LookupError, TypeError, ValueError):
        return {}


def _place(checksum: str) -> Path:
    return cache_root() / "images" / "origins-1" / f"{Path(checksum).name}.json"


def drawn(files: Listed) -> Listed:
    """At most `MOST` of some files, drawn with a fixed seed: the first of them are of all classes.

    The images of a part stand in the order of their names, and so of their classes.
    """
    order = np.random.default_rng(0).permutation(len(files))[:MOST]
    return [files[row] for row in order]
