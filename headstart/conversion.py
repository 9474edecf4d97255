"""Networks converted for OpenVINO, kept in the cache and checked each time they are opened."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from headstart import atomic, progress
from headstart.errors import HeadstartError
from headstart.locations import cache_root
from headstart.openvino_file import convert

FILES = ("prefix.xml", "prefix.bin")
_DIGESTS = "prefix.json"
_LAYERS = "layers"  # in the same file, beside the digests
STAGE = "prepare backbone"

_outside: dict[Path, Path] = {}  # networks that the cache did not take, by their place in it


def keep_conversion(name: str, build: Callable[[], Any]) -> Path:
    """The folder with a converted network, converted anew where it is missing or damaged.

    Args:
        name: The folder's name in the cache; stands for everything that the network depends on.
        build: Makes the Keras model; called only where it has to be converted.

    Raises:
        HeadstartError: There is no room for the files, neither in the cache nor elsewhere.
    """
    place = cache_root() / "prefixes" / name
    folder = _outside.get(place, place)
    if not is_intact(folder):
        return _convert(folder, build)
    with suppress(OSError):
        os.utime(folder / _DIGESTS)  # when it was last used, for the cache limit
    return folder


def _convert(folder: Path, build: Callable[[], Any]) -> Path:
    with progress.stage(STAGE):
        model = build()
        try:
            with atomic.new_folder(folder) as aside:
                write_conversion(model, aside)
                if is_intact(folder):
                    raise FileExistsError  # another process was faster; it may be using it
        except OSError as error:
            if is_intact(folder):
                return folder
            folder = _convert_outside(model, folder, error)
    return folder


def write_conversion(model: Any, folder: Path) -> None:
    """Convert a Keras model into `folder`: `FILES`, and their checksums.

    Raises:
        OSError: No space, or no permission.
    """
    convert(model, folder / FILES[0])
    digests = {name: file_digest(folder / name) for name in FILES}
    (folder / _DIGESTS).write_text(json.dumps(digests))


def _convert_outside(model: Any, place: Path, reason: OSError) -> Path:
    """Convert into a folder that lasts as long as this process, where the cache takes nothing."""
    progress.remark(STAGE, f"the converted network is not kept: {reason}")
    _outside[place] = convert_for_now(model, place.name)
    return _outside[place]


def note_layers(folder: Path, layers: list[dict[str, Any]]) -> None:
    """Keep what the layers of a converted network are beside it; where that fails, it is not."""
    with suppress(OSError, ValueError):
        said = json.loads((folder / _DIGESTS).read_text())
        atomic.write_file(folder / _DIGESTS, json.dumps({**said, _LAYERS: layers}).encode())


def noted_layers(name: str) -> list[dict[str, Any]] | None:
    """What `note_layers` kept of the network with this name in the cache, or None."""
    place = cache_root() / "prefixes" / name
    try:
        found = json.loads((_outside.get(place, place) / _DIGESTS).read_text())[_LAYERS]
        return [dict(one) for one in found]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def convert_for_now(model: Any, name: str) -> Path:
    """Convert a Keras model into a folder that lasts as long as this process.

    Raises:
        HeadstartError: There is no room for the files.
    """
    folder = _own_folder() / name
    try:
        folder.mkdir(exist_ok=True)
        write_conversion(model, folder)
    except OSError as error:
        raise HeadstartError(
            f"The network cannot be converted: {error}. Expected some room in the cache folder "
            f"'{cache_root()}' or in '{folder.parent}'. Free some, or set HEADSTART_CACHE to "
            "another folder."
        ) from error
    return folder


@functools.cache
def _own_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="headstart-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def is_intact(folder: Path) -> bool:
    """Whether the converted network in `folder` is as it was written."""
    try:
        digests = json.loads((folder / _DIGESTS).read_text())
        return all(file_digest(folder / name) == digests[name] for name in FILES)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
