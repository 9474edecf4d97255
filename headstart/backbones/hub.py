"""Vision backbones of KerasHub: `hub:NAME` of a preset, or `hub:FOLDER` with one.

What is asked for comes in, a `BackboneInfo` and a network uint8 (n, height, width, 3) -> float32
(n, features) go out. What was found out about a preset is kept in the cache under the checksum of
its content, so that from the second time on neither Keras nor KerasHub is needed to know it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from headstart import progress
from headstart.backbones.catalogue import HUB_PREFIX, BackboneInfo
from headstart.backbones.hub_network import build, converter_of
from headstart.backbones.hub_place import is_folder, preset_folder
from headstart.backbones.hub_preset import CONVERTER, Preset, read_preset
from headstart.backbones.own_pixels import CHOICES, INSIDE
from headstart.backbones.settings import own_settings
from headstart.errors import HeadstartError
from headstart.locations import cache_root
from headstart.notes import noted

SCHEME = "hub:"
STAGE = "prepare backbone"
_FORMAT = 1  # raise it when the same preset leads to other features
_SIDE = 224  # for a preset that does not say its size


@dataclass(frozen=True)
class _Facts:
    """What a preset is; `height` and `width` are those of its images."""

    kind: str
    height: int
    width: int
    any_size: bool
    features: int
    parameters: int
    format: int = _FORMAT


def is_hub(name: str) -> bool:
    """Whether `name` asks for a backbone of KerasHub."""
    return name.startswith(SCHEME)


def describe(
    name: str, preprocessing: str, *, download: bool = True
) -> tuple[BackboneInfo, Path, str]:
    """Say what a preset is as a backbone; loads Keras only for one that was never seen.

    Args:
        name: `hub:` and a preset's name, handle or folder.
        preprocessing: What a preset without image converter wants of pixels: a word of
            `own_pixels.CHOICES`.
        download: Whether a preset that is not here may be fetched.

    Returns:
        The description, the preset's folder, and what its weights are called in the key of
        features: the SHA-256 of network, preprocessing and weights.

    Raises:
        HeadstartError: The preset cannot be had or used, or its preprocessing has to be given.
        MissingExtra: KerasHub is needed and not installed.
    """
    wanted = name.removeprefix(SCHEME)
    folder = preset_folder(wanted, download=download)
    preset = read_preset(folder)
    kind = _preprocessing(preset, preprocessing)
    called = plain_name(wanted, folder)
    facts = _facts(preset, called, kind)
    progress.remark(STAGE, f"{called}: {facts.kind} of KerasHub, {facts.features} features")
    info = BackboneInfo(
        name=called,
        family="hub",
        parameters=facts.parameters,
        features=facts.features,
        image_size=max(facts.height, facts.width),
        top1=None,
        licence="that of the preset",
        paper=f"KerasHub, {facts.kind}, preset {_shown(wanted, folder)}",
        source="hub",
        preprocessing=kind,
        least_size=1,
        any_size=facts.any_size,
        file=folder.name,
    )
    return info, folder, preset.digest if preset.converter else f"{preset.digest}-{kind}"


def plain_name(wanted: str, folder: Path) -> str:
    """What a preset is called here; may be part of the name of a file."""
    text = _shown(wanted, folder).rpartition("://")[2].lower()
    return HUB_PREFIX + (re.sub(r"[^a-z0-9]+", "_", text).strip("_")[:60] or "preset")


def _shown(wanted: str, folder: Path) -> str:
    """The handle, or the folder's name without the path to it."""
    return Path(os.path.abspath(folder)).name if is_folder(wanted) else wanted


def _preprocessing(preset: Preset, given: str) -> str:
    if preset.converter is not None and given != "auto":
        raise HeadstartError(
            f"The preprocessing of '{preset.folder}' cannot be '{given}'. Expected 'auto': the "
            "preset has its own. Leave it out."
        )
    if preset.converter is None and given == "auto":
        choices = ", ".join(one for one in CHOICES if one != "auto")
        raise HeadstartError(
            f"The preset '{preset.folder}' does not tell how it wants its pixels: it has no "
            f"{CONVERTER}. Expected that file, or one of: {choices} (inside: 0 to 255; tf: -1 to "
            "1; unit: 0 to 1; caffe and torch: as keras.applications does). Give preprocessing as "
            "it was trained."
        )
    return INSIDE if given == "auto" else given


def _facts(preset: Preset, name: str, kind: str) -> _Facts:
    place = cache_root() / "hub_presets" / f"{preset.digest}.json"

    def find() -> _Facts:
        with progress.stage(STAGE), own_settings():
            return _examine(preset, name, kind)

    return noted(place, _Facts, _FORMAT, find)


def _examine(preset: Preset, name: str, kind: str) -> _Facts:
    converter = converter_of(preset)
    height, width = (converter and converter.image_size) or (_SIDE, _SIDE)
    height, width = preset.shape[0] or height, preset.shape[1] or width
    model = build(preset, name, (height, width), kind, pooling=True)
    return _Facts(
        kind=preset.kind,
        height=height,
        width=width,
        any_size=preset.any_size,
        features=int(model.output.shape[-1]),
        parameters=int(model.count_params()),
    )
