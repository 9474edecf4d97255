"""A trained classifier as a folder: JSON, safetensors and OpenVINO IR; nothing pickled or executed.

    bundle.json       classes, preprocessing, identity and layers of the network, recipe, data,
                      versions, checksums of all files and of itself
    recipe.toml       every choice, for headstart fit --recipe
    metrics.json      the evaluation on each part
    checkup.json      what was found in the images
    head.safetensors  the head's matrices
    prefix.xml, .bin  the frozen network (backbone.safetensors where OpenVINO is missing)
    suffix.xml, .bin  after fine-tuning, the part that was trained, and its weights as Keras has
                      them in suffix.safetensors
    example.png       a test image, with its expected answer in example.json
    seen.bin          the first 8 bytes of the SHA-256 of each image trained on, to find leaks later
    decision.json     thresholds of prediction sets, of abstaining and of unknown images
    reference.safetensors, .json  features, names and thumbnails of some training images
    README.md         model card
    report.html       what it can do and how far to trust it, to look at; made of report.json

The folder is written aside and renamed, and every file is checked against its checksum when it is
loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart import atomic
from headstart.classifier import Classifier, PixelChoices
from headstart.conversion import file_digest
from headstart.decision import Decision, decision_from_dict
from headstart.errors import HeadstartError
from headstart.heads import head_from_arrays
from headstart.images import Pixels
from headstart.prefix import Prefix, PrefixIdentity, write_network
from headstart.recipe import Recipe, write_recipe
from headstart.reference import read_reference
from headstart.seen import FILE as SEEN
from headstart.suffix import WEIGHTS, Suffix
from headstart.versions import installed_versions

FORMAT = 1
_HEAD, _DECISION = "head.safetensors", "decision.json"


@dataclass(frozen=True)
class Contents:
    """What a bundle holds besides the classifier; all dictionaries are JSON values.

    `fine_tuning`, `choice` and `checkup` are what `Run` says. `example` is uint8 (height, width, 3)
    at the classifier's image size, with its expected probabilities. `report` writes more files into
    the folder; it is given what bundle.json will say. `images`: whether thumbnails are kept.
    """

    recipe: Recipe
    data: dict[str, Any]
    metrics: dict[str, Any]
    card: str
    example: Pixels | None
    expected: dict[str, float]
    seen: bytes
    fine_tuning: dict[str, Any] | None = None
    choice: dict[str, Any] | None = None
    checkup: dict[str, Any] | None = None
    report: Callable[[Path, Mapping[str, Any]], None] | None = None
    images: bool = True


def is_bundle(folder: Path) -> bool:
    """Whether `folder` looks like a bundle."""
    return (folder / "bundle.json").is_file()


def check_target(folder: Path) -> None:
    """Make sure that a bundle may be written to `folder`, before any work is done.

    Raises:
        HeadstartError: Something that is no bundle stands there, or the place cannot be written.
    """
    try:
        target = Path(os.path.realpath(folder))  # a link is followed
        if target.exists() and not is_bundle(target) and not _is_empty(target):
            raise HeadstartError(
                f"'{folder}' exists and is no bundle. Expected a new folder, or a bundle to "
                "replace. Choose another place with --out."
            )
        parent = next(path for path in target.parents if path.exists())
        writable = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
        if not writable or os.path.ismount(target):
            raise _unwritable(parent if not writable else target, "")
    except OSError as error:
        raise _unwritable(folder, f": {error.strerror}") from error


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _unwritable(place: Path, reason: str) -> HeadstartError:
    return HeadstartError(
        f"'{place}' cannot be written{reason}. Expected a place where the folder of the bundle can "
        "be made. Choose another place with --out."
    )


def save_bundle(folder: Path, classifier: Classifier, contents: Contents) -> str:
    """Write a bundle in one step, and give its checksum; a bundle that stood there is replaced.

    Raises:
        HeadstartError: The place cannot be written; what stood there is untouched.
    """
    check_target(folder)
    try:
        with atomic.new_folder(folder) as aside:
            return _fill(aside, classifier, contents)
    except OSError as error:
        raise HeadstartError(
            f"The bundle '{folder}' cannot be written: {error.strerror or error}. Expected a "
            "folder with space and permission to write. Make room, or choose another place with "
            "--out."
        ) from error


def _fill(folder: Path, classifier: Classifier, contents: Contents) -> str:
    identity = write_network(classifier.prefix, folder)
    _write_parts(folder, classifier, contents)
    about = {
        "format": FORMAT,
        "class_names": list(classifier.class_names),
        "image_size": list(classifier.image_size),
        **asdict(classifier.pixels),
        "features": classifier.prefix.width,
        "head": classifier.head.kind,
        "prefix": asdict(identity),
        "suffix": _about_suffix(classifier.prefix.suffix),
        "layers": classifier.prefix.layers(),
        "recipe": contents.recipe.to_dict(),
        "fine_tuning": contents.fine_tuning,
        "choice": contents.choice,
        "data": contents.data,
        "versions": installed_versions(),
    }
    if contents.report is not None:
        contents.report(folder, about)
    about["files"] = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
    checksum = _checksum(about)
    _write_json(folder / "bundle.json", {**about, "checksum": checksum})
    return checksum


def _write_parts(folder: Path, classifier: Classifier, contents: Contents) -> None:
    """All but the network, what bundle.json says, and the report."""
    from PIL import Image
    from safetensors.numpy import save

    (folder / _HEAD).write_bytes(save(classifier.head.arrays()))
    _write_json(folder / "metrics.json", contents.metrics)
    if contents.checkup is not None:
        _write_json(folder / "checkup.json", contents.checkup)
    (folder / SEEN).write_bytes(contents.seen)
    if classifier.decision is not None:
        _write_json(folder / _DECISION, classifier.decision.to_dict())
    if classifier.reference is not None:
        classifier.reference.save(folder, images=contents.images)
    (folder / "recipe.toml").write_text(write_recipe(contents.recipe), encoding="utf-8")
    (folder / "README.md").write_text(contents.card, encoding="utf-8")
    if contents.example is not None:
        Image.fromarray(contents.example).save(folder / "example.png")
        _write_json(
            folder / "example.json", {"file": "example.png", "probabilities": contents.expected}
        )


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, allow_nan=False), encoding="utf-8")


def _checksum(about: dict[str, Any]) -> str:
    """SHA-256 of what `bundle.json` says, besides this."""
    said = {name: value for name, value in about.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_about(folder: Path) -> dict[str, Any]:
    """Read what a bundle says of itself, and check its files against their checksums.

    Raises:
        HeadstartError: Not a bundle, from a newer headstart, or damaged.
    """
    try:
        about = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        written = about["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise HeadstartError(
            f"'{folder}' is no bundle: its bundle.json is missing or cannot be read. Expected a "
            "folder that headstart fit wrote. Check the path, or train again."
        ) from error
    if written != FORMAT:
        raise HeadstartError(
            f"The bundle '{folder}' has format {written}. Expected format {FORMAT}. "
            "Install the newest headstart, or train again."
        )
    files = about.get("files", {})
    if about.get("checksum") != _checksum(about) or not isinstance(files, dict):
        raise _damaged(folder, "bundle.json")
    for name, digest in files.items():
        if not _is_as_written(folder / Path(name).name, digest):
            raise _damaged(folder, name)
    return dict(about)


def _is_as_written(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and file_digest(path) == digest
    except OSError:
        return False


def _damaged(folder: Path, name: str) -> HeadstartError:
    return HeadstartError(
        f"The bundle '{folder}' is damaged: {name} is missing or changed. Expected the file as it "
        "was written. Copy the bundle anew, or train again."
    )


def load(path: str | os.PathLike[str]) -> Classifier:
    """Load a bundle.

    Args:
        path: The folder that `headstart fit` wrote.

    Raises:
        HeadstartError: Not a bundle, from a newer headstart, or damaged.
    """
    folder = Path(path)
    return classifier_of(folder, read_about(folder))


def classifier_of(folder: Path, about: Mapping[str, Any]) -> Classifier:
    """Put the classifier of a bundle together, of which `read_about` has given `about`.

    Raises:
        HeadstartError: Something is missing, or does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        values = about["prefix"]
        identity = PrefixIdentity(**{**values, "image_size": tuple(values["image_size"])})
        head = head_from_arrays(about["head"], load_file(folder / _HEAD))
        width = about["features"]
        if not isinstance(width, int):
            raise TypeError(f"features is {width!r}")
        prefix = Prefix(identity, (width,), folder=folder, suffix=_read_suffix(folder, about))
        pixels = PixelChoices(about["resize"], about.get("views", 1), about.get("flip", True))
        names = about["class_names"]
        decision, reference = _read_decision(folder, len(names)), None
        if decision is not None:
            reference = read_reference(folder, width, len(names))
        return Classifier(names, prefix, head, pixels, decision, reference)
    except HeadstartError:
        raise
    except (LookupError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise HeadstartError(
            f"The bundle '{folder}' is incomplete: {error}. Expected what headstart fit writes. "
            "Train again."
        ) from error


def _about_suffix(suffix: Suffix | None) -> dict[str, Any] | None:
    if suffix is None:
        return None
    return {"layer": suffix.layer, "shape": list(suffix.shape), "whole": suffix.whole}


def _read_decision(folder: Path, num_classes: int) -> Decision | None:
    if not (folder / _DECISION).is_file():  # bundles of 0.1 had none
        return None
    return decision_from_dict(
        json.loads((folder / _DECISION).read_text(encoding="utf-8")), num_classes
    )


def _read_suffix(folder: Path, about: Mapping[str, Any]) -> Suffix | None:
    from safetensors.numpy import load_file

    values = about.get("suffix")  # bundles of 0.1 had none
    if values is None:
        return None
    weights = load_file(folder / WEIGHTS)
    shape = tuple(values["shape"])
    return Suffix(
        values["layer"], shape, about["features"], weights, values["whole"], folder=folder
    )
