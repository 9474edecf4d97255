"""Prepare the weights of a backbone on a connected machine, for one that is not.

A name of a backbone and a folder come in; the weights file, or the folder of a preset, is written
into that folder, aside first and then renamed. What to do with it on the other machine comes out.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart import atomic, progress
from headstart.backbones import hub
from headstart.backbones.catalogue import find_backbone
from headstart.backbones.hub_preset import CONFIG, read_preset
from headstart.backbones.own_model import is_model_file
from headstart.backbones.weights import file_digest, imagenet_weights
from headstart.errors import HeadstartError

STAGE = "fetch weights"


@dataclass(frozen=True)
class Fetched:
    """What was written.

    Attributes:
        name: What was asked for.
        path: The weights file, or the preset's folder.
        bytes: Its size.
        digest: SHA-256 of the file, or of what counts in the preset, hexadecimal.
        new: Whether it was written now; False where the same was there already.
        backbone: What to give as backbone on the other machine, with `path` where it is then.
        weights: What to give as weights there; None for a preset, which brings its own.
    """

    name: str
    path: Path
    bytes: int
    digest: str
    new: bool
    backbone: str
    weights: Path | None

    @property
    def options(self) -> str:
        """The options of `headstart fit` that use it."""
        chosen = f"--backbone {shlex.quote(self.backbone)}"
        if self.weights is None:
            return chosen
        return f"{chosen} --weights {shlex.quote(str(self.weights))}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values: the object that `headstart backbones fetch --json` prints."""
        weights = None if self.weights is None else str(self.weights)
        return {**asdict(self), "path": str(self.path), "weights": weights, "options": self.options}

    def __str__(self) -> str:
        """What was written, and how to use it."""
        done = "Wrote" if self.new else "Already there, and right:"
        path, recipe = str(self.path), f"backbone={self.backbone!r}"
        if self.weights is not None:
            recipe += f", weights={str(self.weights)!r}"
        return (
            f"{done} {path} ({self.bytes / 1e6:.1f} MB, SHA-256 {self.digest[:16]}...).\n"
            f"Copy it to the other machine; with the same path there, use it with:\n"
            f"  headstart fit DATA {self.options}\n"
            f"  headstart.Recipe({recipe})"
        )


def fetch_backbone(name: str, to: str | os.PathLike[str]) -> Fetched:
    """Fetch the weights of a backbone into a folder that can be copied to another machine.

    Args:
        name: A name of `list_backbones()`, or `hub:` with the name, handle or folder of a KerasHub
            preset.
        to: The folder; made where it is not there.

    Returns:
        What was written, and how it is used. `HEADSTART_WEIGHTS_URL` is respected.

    Raises:
        HeadstartError: An unknown name, no network, a file that is not the published one, a folder
            that cannot be written, or something else in the place of the file.
        MissingExtra: A preset is asked for, and KerasHub is not installed.
    """
    folder = Path(to).expanduser()
    if is_model_file(name) and not hub.is_hub(name):
        raise HeadstartError(
            f"'{name}' is a model file, not a name. Expected a name of a backbone, such as "
            "resnet50. Copy the file itself to the other machine."
        )
    if not hub.is_hub(name):
        info = find_backbone(name)
        if info.source == "seeded":
            raise HeadstartError(
                f"{info.name} has no weights to fetch: they are made where it is used. Expected "
                "another name, such as resnet50. Nothing has to be copied."
            )
        _make_folder(folder)
        source, digest = imagenet_weights(info, download=True)
        target = folder / info.file
        new = _put_file(source, target, digest)
        return Fetched(name, target, target.stat().st_size, digest, new, info.name, target)
    _make_folder(folder)
    _, source, digest = hub.describe(name, "auto")
    target = folder / hub.plain_name(name.removeprefix(hub.SCHEME), source).removeprefix("hub_")
    new = _put_preset(source, target, digest)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Fetched(name, target, size, digest, new, _as_path(target), None)


def _as_path(target: Path) -> str:
    """`hub:` and a path that is taken for none of KerasHub's names."""
    return f"{hub.SCHEME}{target if len(target.parts) > 1 else f'./{target}'}"


def _make_folder(folder: Path) -> None:
    """Make the folder, and see whether it can be written before anything is downloaded."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _not_written(folder, error) from error


def _put_file(source: Path, target: Path, digest: str) -> bool:
    """Copy a weights file; False where it is there already."""
    if target.is_file() and file_digest(target) == digest:
        return False
    if os.path.lexists(target):
        raise _in_the_way(target)
    try:
        with progress.stage(STAGE):
            atomic.write_file(target, source.read_bytes())
    except OSError as error:
        raise _not_written(target.parent, error) from error
    return True


def _put_preset(source: Path, target: Path, digest: str) -> bool:
    """Copy a preset; False where it is there already."""
    if (target / CONFIG).is_file() and read_preset(target).digest == digest:
        return False
    if os.path.lexists(target):
        raise _in_the_way(target)
    try:
        with progress.stage(STAGE), atomic.new_folder(target) as aside:
            shutil.copytree(source, aside, dirs_exist_ok=True)
    except OSError as error:
        raise _not_written(target.parent, error) from error
    return True


def _in_the_way(target: Path) -> HeadstartError:
    return HeadstartError(
        f"'{target}' is there already and is something else. Expected nothing in that place, or "
        "the same weights. Move it away, or choose another folder with --to."
    )


def _not_written(folder: Path, error: OSError) -> HeadstartError:
    return HeadstartError(
        f"The folder '{folder}' cannot be written: {error.strerror or error}. Expected a folder "
        "with permission and space to write. Choose another one with --to."
    )
