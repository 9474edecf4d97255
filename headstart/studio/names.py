"""Names from outside made safe: of classes, which are refused, and of files, which are changed.

What is accepted is one plain name of a file on Linux, macOS and Windows alike, never a path.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Container

from headstart.archive import is_bad_on_windows
from headstart.errors import HeadstartError
from headstart.scan import display, encodable, is_hidden

LONGEST_CLASS = 100  # characters
_LONGEST_BYTES = 200  # of 255 that most file systems allow; the rest is for what is put around
_FORBIDDEN = frozenset('/\\<>:"|?*')
_ENDINGS = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "webp": (".webp",),
    "bmp": (".bmp", ".dib"),
    "gif": (".gif",),
    "tiff": (".tif", ".tiff"),
    "heic": (".heic", ".heif", ".avif"),
}


def checked_class_name(name: str) -> str:
    """The name of a new class, trimmed, with composed accents.

    Raises:
        HeadstartError: It cannot be the name of a folder everywhere.
    """
    trimmed = unicodedata.normalize("NFC", encodable(name)).strip()
    why = _why_bad(trimmed)
    if why:
        raise HeadstartError(
            f"A class cannot be called '{display(trimmed)[:60]}': {why}. Expected a short name "
            "such as 'oak leaf', which is also the name of its folder. Choose another name."
        )
    return trimmed


def _why_bad(name: str) -> str | None:
    """Why a name cannot be that of a class, or None."""
    findings = (
        (not name, "it is empty"),
        (len(name) > LONGEST_CLASS or len(name.encode()) > _LONGEST_BYTES, "it is too long"),
        (name.startswith("."), "it begins with a dot, as hidden folders do"),
        (not _FORBIDDEN.isdisjoint(name), 'it has one of / \\ < > : " | ? * in it'),
        (display(name) != name or not name.isprintable(), "it has characters without a shape"),
        (is_hidden(name), "folders of that name are passed over"),
        (is_bad_on_windows([name]), "Windows cannot hold a folder of that name"),
    )
    return next((why for found, why in findings if found), None)


def safe_file_name(name: str, kind: str) -> str:
    """One plain name for an uploaded image.

    Args:
        name: What the browser says, which may be anything.
        kind: One of `formats.FORMATS`; the ending is made to fit it.
    """
    last = encodable(name).replace("\\", "/").rsplit("/", 1)[-1]
    last = unicodedata.normalize("NFC", last)
    plain = "".join("_" if one in _FORBIDDEN or not one.isprintable() else one for one in last)
    stem, ending = os.path.splitext(plain.strip(" ."))
    if ending.lower() not in _ENDINGS[kind]:
        stem, ending = stem + ending, _ENDINGS[kind][0]
    stem = stem.strip(" .").encode()[: _LONGEST_BYTES - len(ending)].decode(errors="ignore")
    stem = stem.strip(" .") or "image"
    named = stem + ending
    return f"_{named}" if is_bad_on_windows([named]) or is_hidden(named) else named


def free_name(name: str, taken: Container[str]) -> str:
    """`name`, or `name-2` and so on; `taken` holds the names in use, in `str.casefold`."""
    stem, ending = os.path.splitext(name)
    found, number = name, 1
    while found.casefold() in taken:
        number += 1
        found = f"{stem}-{number}{ending}"
    return found
