"""Class names as names of folders: none leaves the folder that they are made in, no two are one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import PurePath

from headstart.scan import printable

UNSURE = "unsure"
_BYTES = 200  # a name may have 255
_NOT_IN_NAMES = re.compile(r'[/\\<>:"|?*\x00-\x1f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def folder_names(class_names: Iterable[str]) -> dict[str, str]:
    """The folder of each class: its name, changed where a folder cannot be called so.

    Two that would be the same where case does not count get a number, as does a class `unsure`.
    """
    taken = {UNSURE}
    names: dict[str, str] = {}
    for label in class_names:
        plain = name = _plain(label)
        number = 2
        while name.casefold() in taken:
            name, number = f"{plain} ({number})", number + 1
        taken.add(name.casefold())
        names[label] = name
    return names


def _plain(label: str) -> str:
    name = _NOT_IN_NAMES.sub("_", printable(_NOT_IN_NAMES.sub("_", label)))
    name = shortened(name.strip(), _BYTES).rstrip(". ")
    if name.startswith("."):  # hidden, or the folder above
        name = "_" + name[1:]
    return f"_{name}" if not name or _DEVICES.fullmatch(name) else name


def shortened(name: str, most: int) -> str:
    """The beginning of a name, of at most so many bytes."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


def numbered(name: str, number: int) -> str:
    """`a.jpg` with 2: `a (2).jpg`."""
    path = PurePath(name)
    end = f" ({number}){path.suffix}"
    return shortened(path.stem, 255 - len(os.fsencode(end))) + end
