"""A trained Keras model of the user's own as a backbone, without its classifier.

A file comes in (.keras, .h5 or .hdf5; opened only because the user names it), a `BackboneInfo` and
a network uint8 (n, height, width, 3) -> float32 (n, features) go out. What was found out about a
file is kept in the cache under the checksum of its content, so that from the second time on no
Keras is needed to know it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from headstart import progress
from headstart.backbones.catalogue import OWN_PREFIX, BackboneInfo
from headstart.backbones.own_network import GREY_PARAMETERS, read, without_head
from headstart.backbones.own_pixels import CHOICES, INSIDE, detect
from headstart.backbones.settings import own_settings
from headstart.backbones.weights import file_digest
from headstart.errors import HeadstartError
from headstart.locations import cache_root
from headstart.notes import noted

SUFFIXES = (".keras", ".h5", ".hdf5")
_FORMAT = 1  # raise it when the same file leads to other features
STAGE = "prepare backbone"
_MOST_NAMES = 8  # of layers, in a remark
_SIDE = 224  # for a model that takes every size


@dataclass(frozen=True)
class _Facts:
    """What a file holds; `preprocessing` is "" where it cannot be told."""

    height: int | None
    width: int | None
    channels: int
    features: int
    parameters: int
    preprocessing: str
    by_name: bool
    removed: list[str]
    format: int = _FORMAT


def is_model_file(name: str) -> bool:
    """Whether `name` names a file of a model and no backbone of the catalogue."""
    return name.lower().endswith(SUFFIXES)


def plain_name(path: Path) -> str:
    """What the model in a file is called here; may be part of the name of a file."""
    return OWN_PREFIX + (re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")[:40] or "model")


def describe(path: Path, preprocessing: str) -> tuple[BackboneInfo, str]:
    """Say what a model is as a backbone; loads Keras only for a file that was never seen.

    Args:
        path: The file.
        preprocessing: A word of `own_pixels.CHOICES`.

    Returns:
        The description, and what its weights are called in the key of features: the SHA-256 of the
        file, with the preprocessing where that does not follow from the file.

    Raises:
        HeadstartError: The file cannot be used, or its preprocessing has to be given.
    """
    if not path.is_file():
        raise HeadstartError(
            f"There is no model file '{path}'. Expected a .keras or .h5 file, or a name of a "
            "backbone such as efficientnet_lite0. Check the path; if the file has moved, give "
            '--backbone PATH (in Python: backbone="PATH").'
        )
    name = plain_name(path)
    digest = file_digest(path)
    facts = _facts(path, name, digest)
    kind = facts.preprocessing if preprocessing == "auto" else preprocessing
    _check_preprocessing(path, kind, facts)
    _remark(name, facts, kind, named=preprocessing != "auto")
    info = BackboneInfo(
        name=name,
        family="own",
        parameters=facts.parameters,
        features=facts.features,
        image_size=max(facts.height or 0, facts.width or 0) or _SIDE,
        top1=None,
        licence="the user's own",
        paper=f"the user's own model, {path.name}",
        source="own",
        preprocessing=kind,
        least_size=1,
        any_size=False,
        file=path.name,
    )
    return info, digest if kind == facts.preprocessing else f"{digest}-{kind}"


def _remark(name: str, facts: _Facts, kind: str, *, named: bool) -> None:
    removed = ", ".join(facts.removed[-_MOST_NAMES:]) or "nothing"
    text = f"{name}: left out {removed}; preprocessing {kind}"
    if not named and facts.by_name:
        text += ", by the names of its layers; give it if the model was trained otherwise"
    progress.remark(STAGE, text)


def _check_preprocessing(path: Path, kind: str, facts: _Facts) -> None:
    choices = [one for one in CHOICES if one != "auto"]
    if facts.channels == 1:
        choices = [one for one in choices if one not in ("caffe", "torch")]
    if kind in choices:
        return
    said = (
        f"The preprocessing of '{path}' cannot be '{kind}'"
        if kind
        else f"'{path}' does not tell how it wants its pixels"
    )
    raise HeadstartError(
        f"{said}. Expected one of: {', '.join(choices)} (inside: 0 to 255; tf: -1 to 1; unit: 0 to "
        "1; caffe and torch: as keras.applications does). Give preprocessing as the model was "
        "trained."
    )


def _facts(path: Path, name: str, digest: str) -> _Facts:
    place = cache_root() / "own_models" / f"{digest}.json"

    def find() -> _Facts:
        with progress.stage(STAGE), own_settings():
            return _examine(path, name)

    return noted(place, _Facts, _FORMAT, find)


def _examine(path: Path, name: str) -> _Facts:
    model = read(path)
    height, width, channels = model.inputs[0].shape[1:]
    kind, by_name = detect(model)
    size = (height or width or _SIDE, width or height or _SIDE)
    built = without_head(model, name, size, INSIDE, pooling=True)
    kept = {layer.name for layer in built.layers}
    parameters = built.count_params() - (GREY_PARAMETERS if channels == 1 else 0)
    if not parameters:
        raise HeadstartError(
            f"Nothing learnt is left of '{path}' without its classifier. Expected layers such as "
            "convolutions before the first Dense layer. Use another model."
        )
    return _Facts(
        height=height,
        width=width,
        channels=channels,
        features=built.output.shape[-1],
        parameters=parameters,
        preprocessing=kind,
        by_name=by_name,
        removed=[
            one.name
            for one in model.layers
            if one.name not in kept and type(one).__name__ != "InputLayer"
        ],
    )
