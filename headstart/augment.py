"""Random views of an image: the bytes of its file in, `uint8 (height, width, 3)` views out.

A frozen network runs once for each view and its features are kept, so a view depends on the file's
bytes, the preset, whether it may be mirrored, and its number, and never on the seed of a run: all
runs share the kept views. View 0 is the plain image. Crops are cut from the image as it was before
it became small, and come to their size in one step. None of this is part of a saved model.

Random resized crops are those of Szegedy et al. 2015 (arXiv:1409.4842), with milder areas; `strong`
adds two operations of RandAugment (arXiv:1909.13719) and random erasing (arXiv:1708.04896).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from headstart.errors import HeadstartError
from headstart.images import FILTER, Pixels, decode, from_array, opened, upright

PRESETS = ("none", "light", "strong")
KEY_BYTES = 8
_FORMAT = 1  # count up when the same view comes to look different: what was kept is made anew
_ASPECT = 4 / 3  # the most by which a crop changes the aspect ratio, either way
_ERASED = (0.02, 0.1)  # of the area
_ZOOMS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the views that predictions are averaged over
_DRAWS = 20  # numbers that chance gives for each view, at least as many as are used
_LUMA = np.array([0.299, 0.587, 0.114])
_AROUND_GREY = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
# Each takes a number from 0 to 1: how much. What changes colours is mixed in by half at most.
_OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, much: ImageOps.autocontrast(image, cutoff=2 * much, preserve_tone=True),
    lambda image, much: Image.blend(image, ImageOps.equalize(image), 0.5 * much),
    lambda image, much: ImageOps.posterize(image, 4 + int(4 * much)),
    lambda image, much: Image.blend(image, ImageOps.solarize(image, 176), 0.4 * much),
    lambda image, much: ImageEnhance.Sharpness(image).enhance(0.2 + 1.6 * much),
    lambda image, much: ImageEnhance.Color(image).enhance(0.4 + 1.2 * much),
)


@dataclass(frozen=True)
class _Strength:
    """The largest changes, either way, and how often something happens."""

    smallest_area: float
    brightness: float
    contrast: float
    saturation: float = 0.0
    hue: float = 0.0  # of the colour wheel
    angle: float = 0.0  # degrees
    shear: float = 0.0
    operations: int = 0
    grey: float = 0.0
    erase: float = 0.0


_STRENGTHS = {
    "light": _Strength(0.6, 0.2, 0.2),
    "strong": _Strength(
        0.35, 0.3, 0.3, 0.4, hue=0.03, angle=15, shear=0.1, operations=2, grey=0.1, erase=0.25
    ),
}


@dataclass(frozen=True)
class Augmentation:
    """How views differ from the image.

    `preset` is `none` (every view is the plain image), `light` (crops of at least 0.6 of the area,
    brightness, contrast) or `strong` (smaller crops, turned a little, more colour, some operations
    of RandAugment, a patch erased now and then). `flip` says whether a view may be mirrored, left
    to right; switch it off where that changes the class, as with letters.

    Raises:
        HeadstartError: An unknown preset.
    """

    preset: str = "light"
    flip: bool = True

    def __post_init__(self) -> None:
        """Check the preset."""
        if self.preset not in PRESETS:
            raise HeadstartError(
                f"Unknown augmentation '{self.preset}'. Expected one of: {', '.join(PRESETS)}. "
                "Choose one of these; 'light' suits most images."
            )

    def is_plain(self, index: int) -> bool:
        """Whether view `index` is the image as it is."""
        return index == 0 or self.preset == "none"

    def view_key(self, index: int) -> bytes:
        """8 bytes that name view `index` of any image; zeros for the plain image."""
        if self.is_plain(index):
            return bytes(KEY_BYTES)
        named = f"{_FORMAT} {self.preset} {int(self.flip)} {int(index)}"
        return hashlib.sha256(named.encode()).digest()[:KEY_BYTES]


def make_views(
    data: bytes,
    image_size: tuple[int, int],
    resize: str,
    augmentation: Augmentation,
    indices: Sequence[int],
) -> list[Pixels]:
    """Make some views of one image, from one decoding of its file.

    A JPEG that is far larger than `image_size` is decoded a second time, at the smaller scale of
    `decode`, where the plain image is among the views.

    Args:
        data: The bytes of an image file.
        image_size: (height, width) of the views in pixels.
        resize: `squash`, `crop` or `pad`: which part of the image the views are cut from.
        augmentation: How views differ from the image.
        indices: The numbers of the views, from 0; 0 is the plain image, as `decode` gives it.

    Returns:
        uint8 (height, width, 3) for each index, in order.

    Raises:
        BadImage: As `decode`.
        HeadstartError: An unknown `resize`.
    """
    varied = {index for index in indices if not augmentation.is_plain(index)}
    if not varied:
        return [decode(data, image_size, resize).pixels] * len(indices) if indices else []
    digest = hashlib.sha256(data).digest()[:8]
    strength = _STRENGTHS[augmentation.preset]
    detailed = _enlarged(image_size, 1 / math.sqrt(strength.smallest_area))
    views = {}
    with opened(data, image_size, resize) as small, opened(data, detailed, resize) as large:
        if 0 in indices:
            same = small.size == large.size
            views[0] = from_array(large if same else small, image_size, resize)
        source = _source(large, detailed, resize)
        for index in varied:
            seed = int.from_bytes(digest + augmentation.view_key(index))
            generator = np.random.Generator(np.random.PCG64(seed))
            views[index] = _view(source, image_size, augmentation, generator)
    return [views[index] for index in indices]


def augment_pixels(
    image: Pixels, augmentation: Augmentation, generator: np.random.Generator
) -> Pixels:
    """Make one random view of a decoded image, for training that augments anew each epoch.

    Args:
        image: uint8 (height, width, 3).
        augmentation: How the view differs from the image.
        generator: Where chance comes from; every view takes as many numbers from it.

    Returns:
        uint8 (height, width, 3), as large as `image`.
    """
    if augmentation.preset == "none":
        return image
    size = (image.shape[0], image.shape[1])
    return _view(Image.fromarray(image), size, augmentation, generator)


def prediction_views(image: Pixels, count: int, flip: bool) -> list[Pixels]:
    """Make the views that a prediction is averaged over; no chance is in them.

    Args:
        image: uint8 (height, width, 3).
        count: How many: 1 to 12, or 1 to 6 without `flip`.
        flip: Whether mirrored views may occur.

    Returns:
        The image, its mirror image (if `flip`), then the same two for its middle 0.9, 0.8 and so on
        of each side; uint8 (height, width, 3) each.

    Raises:
        HeadstartError: `count` is out of range.
    """
    each = 2 if flip else 1
    most = each * len(_ZOOMS)
    if not 1 <= count <= most:
        raise HeadstartError(
            f"Cannot make {count} views of an image to predict from. Expected 1 to {most}. "
            "Choose a number in between; 2 to 4 are enough."
        )
    height, width = image.shape[:2]
    views: list[Pixels] = []
    for zoom in _ZOOMS[: math.ceil(count / each)]:
        left, top = width * (1 - zoom) / 2, height * (1 - zoom) / 2
        box = (left, top, width - left, height - top)
        view = np.asarray(Image.fromarray(image).resize((width, height), FILTER, box))
        views += [view, np.ascontiguousarray(view[:, ::-1])][:each]
    return views[:count]


def _source(image: Image.Image, detailed: tuple[int, int], resize: str) -> Image.Image:
    """What the views are cut from; they need it as large as `detailed` (height, width)."""
    image = upright(image)
    need = (detailed[1], detailed[0])
    if resize == "pad":
        # Bounded, so that a strip of 1 x 50,000 pixels does not become a square of that side.
        fit = max(image.width / need[0], image.height / need[1])
        return Image.fromarray(from_array(image, _enlarged(detailed, min(max(fit, 0.5), 2)), "pad"))
    if resize == "crop":
        scale = min(image.width / need[0], image.height / need[1])
        width, height = (max(1, round(side * scale)) for side in need)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    fewer = min(image.width // need[0], image.height // need[1])
    return image.reduce(fewer) if fewer > 1 else image  # once, not for each view


def _enlarged(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return (math.ceil(size[0] * factor), math.ceil(size[1] * factor))


def _view(
    source: Image.Image,
    image_size: tuple[int, int],
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> Pixels:
    strength = _STRENGTHS[augmentation.preset]
    numbers = iter(generator.random(_DRAWS).tolist())  # a new use of chance goes to the end
    mirrored = next(numbers) < 0.5
    image = _cut(source, (image_size[1], image_size[0]), strength, numbers)
    if mirrored and augmentation.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mean = np.asarray(image.resize((1, 1), Image.Resampling.BOX))[0, 0]
    image = image.convert("RGB", _colours(float(mean @ _LUMA), strength, numbers))
    for _ in range(strength.operations):
        image = _OPERATIONS[int(next(numbers) * len(_OPERATIONS))](image, next(numbers))
    if next(numbers) < strength.erase:
        side = math.sqrt(_between(*_ERASED, next(numbers)))
        width, height = round(image.width * side), round(image.height * side)
        left = round((image.width - width) * next(numbers))
        top = round((image.height - height) * next(numbers))
        image.paste(tuple(mean.tolist()), (left, top, left + width, top + height))
    return np.asarray(image)


def _cut(
    source: Image.Image, target: tuple[int, int], strength: _Strength, numbers: Iterator[float]
) -> Image.Image:
    """Cut out a random part at `target` (width, height), turned and sheared; all of it is image."""
    area = _between(strength.smallest_area, 1.0, next(numbers))
    low, high = max(1 / _ASPECT, area), min(_ASPECT, 1 / area)  # so that it fits in
    aspect = low * (high / low) ** next(numbers)
    angle = math.radians(_between(-strength.angle, strength.angle, next(numbers)))
    shear = _between(-strength.shear, strength.shear, next(numbers))
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([[cos, shear * cos - sin], [sin, shear * sin + cos]])  # from view to part
    # The part that is cut is upright and larger, so that no corner of what is turned is empty.
    part = np.ceil(np.abs(matrix) @ target - 1e-6)
    whole = np.array(source.size)
    wanted = whole * (math.sqrt(area * aspect), math.sqrt(area / aspect)) * part / target
    cut = wanted * min(1.0, *(whole / wanted))
    start = np.maximum(whole - cut, 0) * (next(numbers), next(numbers))  # not -1e-14
    end = np.minimum(start + cut, whole)
    width, height = part.astype(int).tolist()
    image = source.resize((width, height), FILTER, (*start.tolist(), *end.tolist()))
    if not (angle or shear):
        return image
    shift = part / 2 - matrix @ target / 2
    affine = np.column_stack([matrix, shift]).ravel().tolist()
    return image.transform(target, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)


def _colours(mean: float, strength: _Strength, numbers: Iterator[float]) -> tuple[float, ...]:
    """Brightness, contrast around the mean, saturation and hue as one matrix for Pillow, (12,)."""
    limits = (strength.brightness, strength.contrast, strength.saturation, strength.hue)
    bright, contrast, saturation, hue = (_between(-one, one, next(numbers)) for one in limits)
    turn = 2 * math.pi * hue
    grey = np.tile(_LUMA, (3, 1))
    colour = np.eye(3) - grey  # without luma, so that a change of hue leaves the brightness
    turned = math.cos(turn) * colour + math.sin(turn) * (colour @ _AROUND_GREY)
    strong = 0.0 if next(numbers) < strength.grey else 1 + saturation
    matrix = (1 + bright) * (1 + contrast) * (grey + strong * turned)
    offset = np.full(3, -contrast * (1 + bright) * mean)
    return tuple(np.column_stack([matrix, offset]).ravel().tolist())


def _between(low: float, high: float, number: float) -> float:
    return low + (high - low) * number
