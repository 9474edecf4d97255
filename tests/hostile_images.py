"""Image files that mean harm: mutated ones by the thousand, and small ones that unpack hugely.

`mutated(count, seed)` gives names and bytes, `BOMBS` names and what makes the bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from headstart import formats

KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF")
_ENDINGS = dict(
    zip(KINDS, ("jpg", "png", "webp", "bmp", "gif", "tif", "heic", "avif"), strict=True)
)


def sound(kind: str, side: int = 160) -> bytes:
    """A small image that opens."""
    formats.register_heic()
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    if kind == "TIFF":
        return encoded(image, kind, compression="tiff_lzw")
    return encoded(image, kind)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def mutated(
    count: int, seed: int = 0, kinds: tuple[str, ...] = KINDS
) -> Iterator[tuple[str, bytes]]:
    """Damaged files of all formats in turn: flipped bits, cut off, foreign headers and more."""
    random = np.random.default_rng(seed)
    whole = [sound(kind) for kind in kinds]
    for number in range(count):
        at = number % len(kinds)
        harm = _HARMS[(number // len(kinds)) % len(_HARMS)]
        data = harm(whole[at], whole[int(random.integers(len(kinds)))], random)
        yield f"{number:04}-{harm.__name__[1:]}.{_ENDINGS[kinds[at]]}", data


def _flipped(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in random.integers(0, len(data), int(random.integers(1, 30))):
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _header_flipped(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in random.integers(4, min(200, len(data)), int(random.integers(1, 8))):
        changed[place] = int(random.integers(256))
    return bytes(changed)


def _truncated(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    return data[: int(random.integers(1, len(data)))]


def _swapped(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """The beginning of one format and the rest of another."""
    begin = int(random.integers(12, 64))
    return data[:begin] + other[begin:]


def _extended(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Large numbers where sizes and counts may stand."""
    changed = bytearray(data)
    for place in random.integers(8, max(9, min(120, len(data)) - 4), 2):
        changed[place : place + 4] = b"\xff\xff\xff\x7f"
    return bytes(changed)


def _repeated(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """A part of it many times over."""
    start, end = sorted(int(one) for one in random.integers(0, len(data), 2))
    return data[:end] + data[start:end] * int(random.integers(1, 20)) + data[end:]


Harm = Callable[[bytes, bytes, np.random.Generator], bytes]
_HARMS: tuple[Harm, ...] = (
    _flipped, _header_flipped, _truncated, _swapped, _extended, _repeated,
)  # fmt: skip


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _zeros(count: int) -> bytes:
    """So many zeros, compressed."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def png(
    width: int, height: int, *, colour: int = 2, bits: int = 8, more: bytes = b"", full: bool = True
) -> bytes:
    """A PNG of nothing but zeros; `more` stands before the pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = 1 + (width * channels * bits + 7) // 8
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    palette = _chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    pixels = _zeros(row * height if full else 1000)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            palette,
            more,
            _chunk(b"IDAT", pixels),
            _chunk(b"IEND", b""),
        ]
    )


def _tiff(tags: list[tuple[int, int, int, int]], rest: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF of one directory; a tag is (number, type, count, value)."""
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(tags))
        + body
        + struct.pack("<I", following)
        + rest
    )


def tiff_of_zeros(side: int, samples: int, bits: int) -> bytes:
    """One deflated strip for the whole image."""
    pixels = _zeros(side * side * samples * bits // 8)
    kinds = 8 + 2 + 11 * 12 + 4
    depth = struct.pack("<4H", *[bits] * 4)
    tags = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, samples, kinds if samples > 2 else bits),
        (259, 3, 1, 8),
        (262, 3, 1, 2 if samples > 2 else 1),
        (273, 4, 1, kinds + 8),
        (277, 3, 1, samples),
        (278, 4, 1, side),
        (279, 4, 1, len(pixels)),
        (284, 3, 1, 1),
        (338, 3, 1, 2) if samples == 4 else (339, 3, 1, 1),
    ]
    return _tiff(tags, depth + pixels)


def _tiff_overlapping() -> bytes:
    """Two thousand tags, each of which claims the same two million bytes."""
    size = 2_000_000
    number = 2000
    start = 8 + 2 + (number + 3) * 12 + 4
    plain = [(256, 4, 1, 64), (257, 4, 1, 64), (259, 3, 1, 1)]
    hostile = [(40_000 + one, 7, size, start) for one in range(number)]
    return _tiff(plain + hostile, bytes(size))


def _tiff_loop() -> bytes:
    """A directory that is followed by itself, and whose EXIF is itself."""
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (259, 3, 1, 1), (34665, 4, 1, 8), (34853, 4, 1, 8)]
    return _tiff(tags, following=8)


def _gif(width: int, height: int, frames: int = 1, comment: int = 0) -> bytes:
    small = encoded(Image.new("P", (4, 4)), "GIF")
    start = small.index(b",")
    screen = b"GIF89a" + struct.pack("<HH", width, height) + small[10:start]
    remark = b"!\xfe" + (b"\xff" + b"x" * 255) * comment + b"\0" if comment else b""
    frame = b"," + struct.pack("<HHHH", 0, 0, width, height) + small[start + 9 : -1]
    return screen + remark + frame * frames + b";"


def _jpeg_of(width: int, height: int, *, progressive: bool = False) -> bytes:
    """A small JPEG that claims another size."""
    small = Image.new("RGB", (16, 16), "red")
    data = bytearray(encoded(small, "JPEG", progressive=progressive, subsampling=0))
    place = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _jpeg_scans(count: int) -> bytes:
    """A progressive JPEG of 40 megapixels whose last scan stands there many times over."""
    data = encoded(Image.new("L", (8000, 5000)), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    table = data.rindex(b"\xff\xc4")
    last = data[min(scan, table) : -2]
    return data[:-2] + last * count + b"\xff\xd9"


def _webp(width: int, height: int) -> bytes:
    """A small lossless WebP that claims another size."""
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "WEBP", lossless=True))
    place = data.index(b"VP8L") + 9
    data[place : place + 4] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return bytes(data)


def _bmp(width: int, height: int, compression: int = 0, pixels: bytes = b"") -> bytes:
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, 8, compression, len(pixels), 0, 0, 256, 0
    )
    start = 14 + 40 + 1024
    return (
        struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
        + header
        + bytes(1024)
        + pixels
    )


_SIDE = 9_400  # pixels; just under the limit
_MANY = 64_000_000  # bytes of zeros in a part that holds text
Bomb = Callable[[], bytes]
# A few bytes to a few megabytes that claim or unpack to far more, or take long to read.
QUICK_BOMBS: dict[str, Bomb] = {
    "13000x13000.png": lambda: png(13_000, 13_000, full=False),
    "ztxt.png": lambda: png(8, 8, more=_chunk(b"zTXt", b"a\0\0" + _zeros(_MANY))),
    "itxt.png": lambda: png(8, 8, more=_chunk(b"iTXt", b"a\0\1\0\0\0" + _zeros(_MANY))),
    "iccp.png": lambda: png(8, 8, more=_chunk(b"iCCP", b"a\0\0" + _zeros(_MANY))),
    "chunks.png": lambda: png(8, 8, more=_chunk(b"tEXt", b"a\0b") * 300_000),
    "65535x65535.gif": lambda: _gif(65_535, 65_535),
    "frames.gif": lambda: _gif(4, 4, frames=200_000),
    "comment.gif": lambda: _gif(4, 4, comment=40_000),
    "overlapping.tif": _tiff_overlapping,
    "loop.tif": _tiff_loop,
    "65500x65500.jpg": lambda: _jpeg_of(65_500, 65_500),
    "9400x9400.jpg": lambda: _jpeg_of(_SIDE, _SIDE),
    "fill.jpg": lambda: b"\xff\xd8" + b"\xff" * 20_000_000,
    "segments.jpg": lambda: b"\xff\xd8" + b"\xff\xfe\0\x02" * 5_000_000,
    "16383x16383.webp": lambda: _webp(16_383, 16_383),
    "9400x9400.webp": lambda: _webp(_SIDE, _SIDE),
    "65535x65535.bmp": lambda: _bmp(65_535, 65_535),
    "runs.bmp": lambda: _bmp(4000, 3000, 1, b"\1\0" * 12_000_000),
    "short_runs.bmp": lambda: _bmp(2000, 1900, 1, b"\1\0" * 8_000_000),
    "one_row.bmp": lambda: _bmp(3_900_000, 1, 1, b"\1\0\0\0\0\1"),
}
# These take seconds to make, or to decode.
BOMBS: dict[str, Bomb] = {
    **QUICK_BOMBS,
    "rgb.png": lambda: png(_SIDE, _SIDE),
    "rgba.png": lambda: png(_SIDE, _SIDE, colour=6),
    "grey16.png": lambda: png(_SIDE, _SIDE, colour=0, bits=16),
    "rgba.tif": lambda: tiff_of_zeros(_SIDE, 4, 8),
    "grey32.tif": lambda: tiff_of_zeros(_SIDE, 1, 32),
    "scans.jpg": lambda: _jpeg_scans(3000),
    "progressive.jpg": lambda: _jpeg_of(_SIDE, _SIDE, progressive=True),
    "6000x5800.webp": lambda: _webp(6000, 5800),
}
