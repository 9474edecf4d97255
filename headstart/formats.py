"""What kind of image a file is, by its first bytes and never by its name.

In go the first 32 bytes, out comes one of `FORMATS` or nothing. The names of files lie often enough
(.jpg files that are PNG or WebP inside), and reading 32 bytes costs next to nothing.
"""

from __future__ import annotations

import functools
import importlib.util

from headstart import extras

FORMATS = ("jpeg", "png", "webp", "bmp", "gif", "tiff", "heic")
HEAD_BYTES = 32
THUMBNAIL = 16  # side of the grey thumbnails by which near-copies are found, in pixels

_STARTS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
)
# "BM" alone also begins many a text, so the size of the header that follows is looked at too.
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"}
)


def sniff(head: bytes) -> str | None:
    """Tell the format of an image file from its first 32 bytes.

    Args:
        head: The first `HEAD_BYTES` bytes, or all of a shorter file.

    Returns:
        One of `FORMATS`, or None where it is no image that headstart knows. "heic" stands for
        HEIC, HEIF and AVIF.
    """
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    if head[4:8] == b"ftyp" and not _HEIC_BRANDS.isdisjoint(_brands(head)):
        return "heic"
    return None


def why_unusable(head: bytes) -> str | None:
    """Say why a file with these first bytes cannot be used, or None where it can.

    Args:
        head: The first `HEAD_BYTES` bytes, or all of a shorter file.
    """
    if not head:
        return "empty file"
    name = sniff(head)
    if name is None:
        return "not an image"
    if name == "heic" and not can_read_heic():
        return "HEIC or AVIF image: install headstart[heic] to use it"
    return None


@functools.cache
def can_read_heic() -> bool:
    """Whether the package that reads HEIC images is installed; it is not imported."""
    return importlib.util.find_spec("pillow_heif") is not None


@functools.cache
def register_heic() -> None:
    """Teach Pillow to open HEIC images.

    Raises:
        MissingExtra: The package is not installed.
    """
    extras.require("pillow_heif", "heic", "HEIC images").register_heif_opener()


def _brands(head: bytes) -> tuple[bytes, ...]:
    """The major brand of an ISO media file and the compatible ones that `head` still holds."""
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return (head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4)))
