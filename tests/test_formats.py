from __future__ import annotations

import io

import pytest
from PIL import Image

from headstart import formats
from headstart.errors import MissingExtra


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "bmp", "gif", "tiff"])
def test_sniff_what_pillow_writes(name: str) -> None:
    data = io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(data, name.upper())
    assert formats.sniff(data.getvalue()[: formats.HEAD_BYTES]) == name


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"MM\0*\0\0\0\x08", "tiff"),
        (b"II+\0\x08\0\0\0", "tiff"),
        (b"MM\0+\0\x08\0\0", "tiff"),
        (b"GIF87a\x01\0", "gif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "heic"),
        (b"\0\0\0\x18ftypxxxx\0\0\0\0mif1heix", "heic"),
        (b"\0\0\0\x10ftypxxxx\0\0\0\0mif1heix", None),  # past the end of the box
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2mp41", None),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "bmp"),
        (b"BMW drivers, a list", None),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"GIF88a", None),
        (b"\xff\xd8", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_sniff(head: bytes, expected: str | None) -> None:
    assert formats.sniff(head) == expected


@pytest.mark.parametrize(
    ("head", "here", "expected"),
    [
        (b"", True, "empty file"),
        (b"text", True, "not an image"),
        (b"\xff\xd8\xff\xe0", True, None),
        (b"\0\0\0\x18ftypheic", True, None),
        (b"\0\0\0\x18ftypheic", False, r"HEIC or AVIF image: install headstart[heic] to use it"),
    ],
)
def test_why_unusable(
    monkeypatch: pytest.MonkeyPatch, head: bytes, here: bool, expected: str | None
) -> None:
    monkeypatch.setattr(formats, "can_read_heic", lambda: here)
    assert formats.why_unusable(head) == expected


def test_register_heic_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    formats.register_heic.cache_clear()
    with pytest.raises(MissingExtra, match=r"headstart\[heic\]"):
        formats.register_heic()
