"""Encoded images in, `uint8 (height, width, 3)` RGB out: the only decoder, for all stages.

The header is checked before anything is decoded, the format is found by content, EXIF orientation
is applied, every mode becomes RGB, and the resize is anti-aliased. A JPEG far larger than the
target is decoded at a half, a quarter or an eighth of its size, which for 12 megapixels is ten
times faster and gives the same image.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from headstart import colours, formats, guard
from headstart.errors import BadImage, HeadstartError
from headstart.framing import frame

__all__ = [
    "FILTER",
    "PAD_COLOUR",
    "RESIZE_MODES",
    "BadImage",
    "Decoded",
    "Pixels",
    "check_resize",
    "decode",
    "from_array",
    "header",
    "opened",
    "read_bytes",
    "upright",
]

Pixels = npt.NDArray[np.uint8]
RESIZE_MODES = ("squash", "crop", "pad")
_SIDE = 2048  # pixels that the shorter side of an upright image keeps
PAD_COLOUR = (127, 127, 127)
FILTER = Image.Resampling.HAMMING

_PILLOW_FORMATS = {
    "jpeg": ("JPEG",),  # and MPO
    "png": ("PNG",),
    "webp": ("WEBP",),
    "bmp": ("BMP", "DIB"),
    "gif": ("GIF",),
    "tiff": ("TIFF",),
    "heic": ("HEIF", "AVIF"),
}
# What Pillow raises for a file that is not what it claims to be, by its documentation and tests.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    MemoryError,
    ValueError,
    NotImplementedError,
    OverflowError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    RuntimeError,  # of the decoders of HEIC and AVIF
    struct.error,
    Warning,  # where the caller turns warnings into errors
)
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """One decoded image.

    `pixels` is uint8 (height, width, 3), RGB. `thumbnail` is uint8 (T, T), grey, of the whole image
    (T = `formats.THUMBNAIL`), by which near-copies are found.
    """

    pixels: Pixels
    thumbnail: Pixels


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read an image file.

    Raises:
        BadImage: It cannot be read, or is larger than `guard.MAX_BYTES`.
    """
    try:
        size = os.stat(path).st_size
        if size > guard.MAX_BYTES:
            most = f"at most {guard.MAX_BYTES / 1e6:.0f} MB"
            raise BadImage(f"too large: {size / 1e6:.0f} MB in one file, {most}")
        return Path(path).read_bytes()
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or error}") from error


def decode(data: bytes, image_size: tuple[int, int], resize: str = "squash") -> Decoded:
    """Decode one image at `image_size`.

    Args:
        data: The bytes of a file of one of `formats.FORMATS`; of an animation the first frame.
        image_size: (height, width) of the result in pixels.
        resize: `squash` changes the aspect ratio, `crop` keeps the largest centred part of the
            right aspect ratio, `pad` keeps the whole image and fills up with grey.

    Raises:
        BadImage: Not an image, broken, or larger than `guard` allows.
        HeadstartError: An unknown `resize`.
    """
    with opened(data, image_size, resize) as image:
        return _finish(image, image_size, resize)


@contextmanager
def opened(data: bytes, image_size: tuple[int, int], resize: str) -> Iterator[Image.Image]:
    """Open an image for `upright`, a JPEG at the scale that `image_size` needs; or BadImage.

    It goes when the block ends; while it is large, no other large one is open.
    """
    check_resize(resize)
    with header(data) as image:
        whole, kind = image.size, formats.sniff(data[: formats.HEAD_BYTES]) or ""
        if kind == "jpeg":
            image.draft(None, _wanted(image.size, _before_turning(image, image_size), resize))
        with guard.turn(guard.check_memory(image, kind, data, whole)):
            try:
                yield image
            finally:
                image.close()  # which gives the memory back before the next one's turn


@contextmanager
def header(data: bytes) -> Iterator[Image.Image]:
    """Open an image to look at what stands before its pixels; or BadImage."""
    kind = formats.sniff(data[: formats.HEAD_BYTES])
    if kind is None:
        raise BadImage("not an image" if data else "empty file")
    file = guard.CountedFile(data, kind)
    with _told(), _open(file, kind) as image:
        guard.check_size(image, kind, data)
        file.loads()
        yield image


def check_resize(resize: str) -> None:
    """Raise HeadstartError where there is no such way to resize."""
    if resize not in RESIZE_MODES:
        raise HeadstartError(
            f"Unknown resize '{resize}'. Expected one of: {', '.join(RESIZE_MODES)}."
        )


def from_array(
    image: Pixels | Image.Image, image_size: tuple[int, int], resize: str = "squash"
) -> Pixels:
    """Bring an image that is decoded already to `image_size`, the way `decode` does.

    Args:
        image: uint8 (height, width, 3) RGB or (height, width) grey, or a Pillow image.
        image_size: (height, width) of the result in pixels.
        resize: `squash`, `crop` or `pad`.

    Raises:
        BadImage: Another type or shape, no pixels, or a Pillow image whose file is broken.
        HeadstartError: An unknown `resize`.
    """
    check_resize(resize)
    if isinstance(image, np.ndarray):
        good = image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2:] == (3,))
        if not good or not image.size:
            raise BadImage(
                f"An array of {image.dtype} {image.shape} is no image. Expected uint8 "
                "(height, width, 3), RGB, 0 to 255. Convert it, or give the path of the file."
            )
        image = Image.fromarray(image)
    elif not isinstance(image, Image.Image):
        raise BadImage(
            f"A {type(image).__name__} is no image. Expected a path, the bytes of an image file, "
            "a uint8 array or a Pillow image. Give one of these."
        )
    with _told():
        return _finish(image, image_size, resize).pixels


@contextmanager
def _told() -> Iterator[None]:
    """Turn what Pillow raises into `BadImage`."""
    try:
        yield
    except BadImage:
        raise
    except _PILLOW_ERRORS as error:
        raise BadImage(f"broken: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text names an object in memory
        return "no image can be found in it"
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__


def _open(file: guard.CountedFile, kind: str) -> Image.Image:
    if kind == "heic":
        formats.register_heic()
    try:
        return Image.open(file, formats=_PILLOW_FORMATS[kind])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"too large: {_first_line(error)}") from error


def _finish(image: Image.Image, image_size: tuple[int, int], resize: str) -> Decoded:
    image.load()  # which turns a TIFF already, and takes its orientation away
    orientation, target = _orientation(image), _before_turning(image, image_size)
    size: tuple[float, float] = image.size
    if image.mode != "RGB" and image.width * image.height > colours.LARGE:
        twice = (2 * target[0], 2 * target[1])
        image, size = colours.shrunk(image, _wanted(image.size, twice, resize))
    image = colours.to_rgb(image)
    small = _resize(image, size, target, resize)
    whole, size = (small, small.size) if resize == "squash" else (image, size)
    grey = whole.resize((formats.THUMBNAIL,) * 2, Image.Resampling.BOX, (0, 0, *size)).convert("L")
    if orientation > 1:
        small, grey = (part.transpose(_TRANSPOSE[orientation]) for part in (small, grey))
    return Decoded(np.asarray(small), np.asarray(grey))


def upright(image: Image.Image) -> Image.Image:
    """An opened image in RGB, turned as its EXIF orientation says; a very large one shrunk."""
    image.load()
    orientation = _orientation(image)
    if image.width * image.height > colours.LARGE:
        image, _ = colours.shrunk(image, _wanted(image.size, (_SIDE, _SIDE), "crop"))
    image = colours.to_rgb(image)
    return image.transpose(_TRANSPOSE[orientation]) if orientation > 1 else image


def _before_turning(image: Image.Image, image_size: tuple[int, int]) -> tuple[int, int]:
    """The target in Pillow's order, (width, height), of an image that is not turned yet."""
    height, width = image_size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _PILLOW_ERRORS:  # damaged metadata do not make the pixels unreadable
        return 1
    return value if value in _TRANSPOSE else 1


def _wanted(size: tuple[int, int], target: tuple[int, int], resize: str) -> tuple[int, int]:
    """The smallest size at which a JPEG may be decoded without losing detail in the target."""
    if resize == "squash":
        return target
    ratios = (target[0] / size[0], target[1] / size[1])
    scale = max(ratios) if resize == "crop" else min(ratios)
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


def _resize(
    image: Image.Image, size: tuple[float, float], target: tuple[int, int], resize: str
) -> Image.Image:
    if resize == "squash":
        return image.resize(target, FILTER, box=(0, 0, *size), reducing_gap=2.0)
    framing = frame(size, target, resize)
    if resize == "crop":
        return image.resize(target, FILTER, box=framing.source, reducing_gap=2.0)
    left, top, right, bottom = framing.target
    padded = Image.new("RGB", target, PAD_COLOUR)
    inner = image.resize((right - left, bottom - top), FILTER, box=(0, 0, *size), reducing_gap=2.0)
    padded.paste(inner, (left, top))
    return padded
