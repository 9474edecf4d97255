"""Where an export goes: a name that fits its format, and no file of others in its place."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.conversion import file_digest
from headstart.errors import HeadstartError
from headstart.exporting.subject import MADE_BY, Subject
from headstart.scan import printable

ABOUT = "about.json"  # in a folder; beside a file it is called after the file
_SUFFIXES = {
    "keras": ".keras",
    "onnx": ".onnx",
    "openvino": ".xml",
    "litert": ".tflite",
    "saved_model": ".saved_model",
    "hub": ".hub",
}
FORMATS = tuple(_SUFFIXES)
INT8_FORMATS = ("onnx", "openvino", "litert")
_FOLDERS = ("saved_model", "hub")


@dataclass(frozen=True)
class Target:
    """A place to write to.

    Attributes:
        path: The file, or the folder.
        format: One of `FORMATS`.
    """

    path: Path
    format: str

    @property
    def is_folder(self) -> bool:
        """Whether the format is a folder."""
        return self.format in _FOLDERS

    @property
    def about(self) -> Path:
        """The JSON file beside the file, or inside the folder."""
        if self.is_folder:
            return self.path / ABOUT
        return self.path.with_name(f"{self.path.name}.json")

    def files(self) -> list[Path]:
        """The files of the model itself."""
        if self.is_folder:
            return [one for one in sorted(self.path.rglob("*")) if one.is_file()]
        more = [self.path.with_suffix(".bin")] if self.format == "openvino" else []
        return [self.path, *more]


def check_format(name: str, *, int8: bool) -> None:
    """Make sure that there is such a format.

    Raises:
        HeadstartError: There is none, or it has no 8-bit numbers.
    """
    if name not in FORMATS:
        raise HeadstartError(
            f"Unknown format '{name}'. Expected one of: {', '.join(FORMATS)}. Choose one of these."
        )
    if int8 and name not in INT8_FORMATS:
        raise HeadstartError(
            f"There is no {name} with 8-bit numbers. Expected one of: {', '.join(INT8_FORMATS)}. "
            "Leave --int8 out, or choose another format."
        )


def choose_target(subject: Subject, name: str, out: Path | None, *, int8: bool) -> Target:
    """Find the place, before any work is done; the default is in the current folder.

    Raises:
        HeadstartError: The name does not fit, something else stands there, or it lies in the
            bundle.
    """
    suffix = _SUFFIXES[name]
    path = out or Path(f"{subject.name}{'.int8' if int8 else ''}{suffix}")
    target = Target(path, name)
    if not target.is_folder and path.suffix.lower() != suffix:
        raise HeadstartError(
            f"'{path}' does not fit the format {name}. Expected a name that ends in {suffix}. "
            "Choose one with --out."
        )
    if subject.folder is not None and subject.folder.resolve() in path.resolve().parents:
        raise HeadstartError(
            f"'{path}' lies in the bundle. Expected a place outside. Choose one with --out."
        )
    if path.exists() != path.is_dir() if target.is_folder else path.is_dir():
        raise HeadstartError(
            f"'{path}' is a {'file' if target.is_folder else 'folder'}. Expected a new name, or an "
            "earlier export to replace. Choose another place with --out."
        )
    _check_replaceable(target)
    return target


def _check_replaceable(target: Target) -> None:
    """Refuse what is no earlier export, and a folder in which something was added or changed."""
    path = target.path
    taken = [one for one in (path, target.about, *target.files()) if one.exists()]
    if not taken or (target.is_folder and path.is_dir() and not any(path.iterdir())):
        return
    written = _written(target.about)
    if written is None:
        raise HeadstartError(
            f"'{taken[0]}' exists and is no export. Expected a new name, or an earlier export to "
            "replace. Choose another place with --out."
        )
    own = _not_of(written, path) if target.is_folder else None
    if own is not None:
        raise HeadstartError(
            f"'{path}' holds '{printable(own)}', which is not as an export left it. Expected a new "
            "name, or an earlier export as it was written, to replace. Move your files elsewhere, "
            "or choose another place with --out."
        )


def _written(about: Path) -> Mapping[str, Any] | None:
    """The files of an export by their names in its folder, with their checksums."""
    try:
        found: Any = json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("made_by") != MADE_BY:
        return None
    files = found.get("files")
    return files if isinstance(files, dict) else {}


def _not_of(written: Mapping[str, Any], folder: Path) -> str | None:
    """The first file, or link, in a folder that is not as it was written, by its name in it."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders.sort()
        for name in sorted([*names, *links]):
            file = os.path.join(place, name)
            inner = os.path.relpath(file, folder)
            if inner != ABOUT and not _is_as_written(file, written.get(inner)):
                return inner
    return None


def _is_as_written(file: str, checksum: object) -> bool:
    """Whether it is a plain file with this checksum; nothing else, as a pipe, is opened."""
    return (
        isinstance(checksum, str)
        and stat.S_ISREG(os.lstat(file).st_mode)
        and file_digest(Path(file)) == checksum
    )
