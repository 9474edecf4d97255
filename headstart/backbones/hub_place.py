"""Where the preset is that a name, a handle or a path asks for; fetched where it is not here.

KerasHub's names stand for models on Kaggle; `kaggle://` and `hf://` handles work too. They are
fetched by the packages of these places into the caches of these packages, file by file, and the
small one that tells what the network is comes first. Where a handle's files lie is noted, so that
from the second time on nobody is asked and no framework is loaded.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

from headstart import progress
from headstart.backbones.hub_network import load_hub, reason_of
from headstart.backbones.hub_preset import (
    CONFIG,
    CONVERTER,
    SHARDS,
    WEIGHTS,
    check_config,
    shards,
)
from headstart.errors import HeadstartError
from headstart.extras import require
from headstart.locations import cache_root
from headstart.notes import read_note, write_note

_KAGGLE, _HUGGING_FACE = "kaggle://", "hf://"
_NEEDED = ((CONFIG,), (WEIGHTS, SHARDS))
_Get = Callable[[str], str]  # fetches one file of a preset; gives its path


def is_folder(wanted: str) -> bool:
    """Whether a path is asked for, and not a name or a handle."""
    marks = {"/", os.sep, os.altsep or "/"}
    return "://" not in wanted and (wanted.startswith((".", "~")) or bool(marks & {*wanted}))


def preset_folder(wanted: str, *, download: bool) -> Path:
    """Find a preset's folder.

    Args:
        wanted: A path with a slash in it or a dot before it, a name of KerasHub such as
            `resnet_50_imagenet`, or a handle that begins with `kaggle://` or `hf://`.
        download: Whether it may be fetched.

    Raises:
        HeadstartError: There is none of that name, or it cannot be fetched.
        MissingExtra: KerasHub is needed and not installed.
    """
    if not wanted.strip():
        raise HeadstartError(
            "No preset was named. Expected hub:NAME, such as hub:resnet_50_imagenet, or "
            "hub:FOLDER. Name one."
        )
    if is_folder(wanted):
        return Path(wanted).expanduser()
    note = cache_root() / "hub_presets" / f"at-{hashlib.sha256(wanted.encode()).hexdigest()}.json"
    kept = read_note(note).get("folder")
    if isinstance(kept, str):
        folder = Path(kept)
        if all(any((folder / name).is_file() for name in names) for names in _NEEDED):
            return folder
    if not download:
        raise _not_here(wanted, "and nothing may be downloaded")
    folder = _fetch(wanted)
    write_note(note, {"preset": wanted, "folder": str(folder)})
    return folder


def _fetch(wanted: str) -> Path:
    get = _getter(wanted)
    try:
        with progress.stage(f"download {wanted}"), contextlib.redirect_stdout(io.StringIO()):
            folder = Path(get(CONFIG)).parent
            check_config(folder)
            _got(get, CONVERTER)
            if not _got(get, WEIGHTS) and _got(get, SHARDS):
                for name in shards(folder):
                    get(name)
    except HeadstartError:
        raise
    except Exception as error:  # the packages raise many kinds for what goes wrong on the way
        raise _not_here(wanted, f"and the download failed ({reason_of(error)})") from error
    return folder


def _getter(wanted: str) -> _Get:
    """What fetches the files of a preset, or finds them in the cache of who fetched them."""
    handle = wanted if "://" in wanted else _handle_of(wanted)
    if handle.startswith(_KAGGLE):
        place = handle.removeprefix(_KAGGLE)
        kaggle = require("kagglehub", "hub", "presets on Kaggle")
        return lambda name: str(kaggle.model_download(place, name))
    if handle.startswith(_HUGGING_FACE):
        repository = handle.removeprefix(_HUGGING_FACE)
        face = require("huggingface_hub", "hub", "presets on Hugging Face")
        return lambda name: str(face.hf_hub_download(repository, name))
    raise HeadstartError(
        f"The preset '{wanted}' cannot be fetched. Expected a name of KerasHub, a handle that "
        f"begins with {_KAGGLE} or {_HUGGING_FACE}, or a folder. Fetch it with KerasHub, and give "
        "its folder."
    )


def _handle_of(name: str) -> str:
    presets = load_hub().models.Backbone.presets
    if name in presets:
        return str(presets[name]["kaggle_handle"])
    near = difflib.get_close_matches(name, presets, n=3, cutoff=0.5)
    likely = ", ".join(near or ("resnet_50_imagenet", "vit_base_patch16_224_imagenet"))
    raise HeadstartError(
        f"KerasHub has no preset '{name}'. Expected a name such as {likely}, or a folder. For a "
        f"folder, write hub:./{name}"
    )


def _got(get: _Get, name: str) -> bool:
    """Fetch a file; False where the preset has none of that name."""
    try:
        get(name)
    except Exception as error:  # each package has its own way to say so
        kinds = {one.__name__ for one in type(error).__mro__}
        said = "404 Client Error" in str(error) or "not present in the model" in str(error)
        absent = "EntryNotFoundError" in kinds and "LocalEntryNotFoundError" not in kinds
        if absent or said:
            return False
        raise
    return True


def _not_here(wanted: str, why: str) -> HeadstartError:
    return HeadstartError(
        f"The preset '{wanted}' is not here {why}. Expected to fetch it from where KerasHub keeps "
        f"it. On a connected machine run: headstart backbones fetch hub:{wanted} --to DIR, and "
        "give the folder it writes as --backbone hub:DIR/FOLDER"
    )
