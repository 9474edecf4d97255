"""The images that an export is checked with, and those that 8-bit ranges are found with.

They are images that the user names, or the validation part of a run; without these, what a bundle
has itself: its example, thumbnails of training images, and patterns made here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart.classifier import Classifier, ImageInput, plain_view
from headstart.dataset import PART_NAMES, Dataset, read_dataset
from headstart.errors import DatasetError, HeadstartError
from headstart.images import BadImage, Pixels
from headstart.origin import Listed
from headstart.workers import map_in_order

MOST = 200  # images that are compared
CALIBRATION = 100  # images that 8-bit ranges are found with
_THUMBNAILS, _PATTERNS = 64, 8
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Material:
    """Images as the network sees them, uint8 (height, width, 3).

    Attributes:
        images: What is compared.
        labels: Their classes, in the classifier's order; None where they are not known.
        source: Which images these are, for people.
        calibration: Others of the same kind; none where there are no real images.
    """

    images: tuple[Pixels, ...]
    labels: Labels | None
    source: str
    calibration: tuple[Pixels, ...] = ()


def from_data(classifier: Classifier, source: str) -> Material:
    """Images of a folder, CSV or zip: those of its validation part, or any.

    Raises:
        DatasetError: No usable images, or classes that the classifier does not know.
    """
    dataset = read_dataset(source)
    unknown = sorted(set(dataset.class_names) - set(classifier.class_names))
    if unknown:
        raise DatasetError(
            f"The classifier does not know these classes: {', '.join(unknown[:10])}. Expected some "
            f"of: {', '.join(classifier.class_names[:20])}. Name other images with --data."
        )
    compared, others = _rows(dataset)
    part = "validation part of " if (dataset.parts == _validation()).any() else ""
    return from_files(
        classifier,
        _listed(dataset, compared),
        _listed(dataset, others),
        f"{part}{dataset.name}",
    )


def _validation() -> int:
    return PART_NAMES.index("validation")


def _rows(dataset: Dataset) -> tuple[Labels, Labels]:
    """Which images are compared, and which others there are; drawn with a fixed seed."""
    order = np.random.default_rng(0).permutation(len(dataset.paths))
    chosen = dataset.parts[order] == _validation()
    if chosen.any():
        return order[chosen], order[~chosen]
    half = min(MOST, (len(order) + 1) // 2) if len(order) > MOST else len(order)
    return order[:half], order[half:] if len(order) > half else order


def _listed(dataset: Dataset, rows: Labels) -> Listed:
    return [(dataset.paths[row], dataset.class_names[dataset.labels[row]]) for row in rows]


def from_files(classifier: Classifier, compared: Listed, others: Listed, source: str) -> Material:
    """Files with their classes; broken ones are left out.

    Raises:
        DatasetError: None of them opens.
    """
    opened = list(_decoded(classifier, [path for path, _ in compared[:MOST]]))
    numbers = {name: number for number, name in enumerate(classifier.class_names)}
    good = [(image, numbers[name]) for image, (_, name) in zip(opened, compared, strict=False)
            if image is not None]  # fmt: skip
    if not good:
        raise DatasetError(
            f"None of the images of {source} opens. Expected images to check the export with. "
            "Name others with --data."
        )
    calibration = _decoded(classifier, [path for path, _ in others[:CALIBRATION]])
    return Material(
        images=tuple(image for image, _ in good),
        labels=np.array([label for _, label in good], np.int64),
        source=source,
        calibration=tuple(image for image in calibration if image is not None),
    )


def of_bundle(classifier: Classifier, folder: Path | None) -> Material:
    """What a bundle has itself; no labels, as these are few images that it has learned from."""
    images: list[ImageInput] = []
    example = None if folder is None else folder / "example.png"
    named = []
    if example is not None and example.is_file():
        images.append(example)
        named.append("the bundle's example")
    reference = classifier.reference
    if reference is not None and (small := [one for one in reference.thumbnails if one]):
        images += small[:: max(1, len(small) // _THUMBNAILS)][:_THUMBNAILS]
        named.append("thumbnails of training images")
    images += _patterns(classifier.image_size)
    named.append("made-up images")
    opened = _decoded(classifier, images)
    return Material(
        tuple(image for image in opened if image is not None),
        None,
        f"{', '.join(named)}; name real ones with --data",
    )


def _patterns(size: tuple[int, int]) -> list[ImageInput]:
    """Blocks of random colours, from coarse to fine."""
    rng, found = np.random.default_rng(0), []
    for number in range(_PATTERNS):
        side = 2 ** (number // 2 + 1)
        found.append(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    return list(found)


def _decoded(classifier: Classifier, images: Sequence[ImageInput]) -> list[Pixels | None]:
    size, resize = classifier.image_size, classifier.resize
    return list(map_in_order(functools.partial(_view, image_size=size, resize=resize), images))


def _view(image: ImageInput, *, image_size: tuple[int, int], resize: str) -> Pixels | None:
    try:
        return plain_view(image, image_size, resize)
    except BadImage:
        return None


def check_calibration(material: Material) -> None:
    """Make sure that there are images for 8-bit numbers.

    Raises:
        HeadstartError: There are none.
    """
    if not material.calibration or material.labels is None:
        raise HeadstartError(
            "8-bit numbers need real images, to find their ranges and to measure what they cost. "
            "Expected labelled images such as those of training. Name them with --data."
        )
