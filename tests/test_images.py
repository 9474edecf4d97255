from __future__ import annotations

import io
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import STORED
from PIL import Image, ImageOps

from headstart import formats, guard, images
from headstart.errors import HeadstartError
from headstart.images import BadImage, decode, from_array

ORIENTATION = 0x0112


def gradient(width: int = 96, height: int = 64) -> Image.Image:
    """Left to right gets redder, top to bottom greener: every turn and flip can be told apart."""
    x = np.linspace(0, 255, width, dtype=np.float32)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height, dtype=np.float32)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, np.full_like(x, 60)], -1).astype(np.uint8))


def encode(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_format_gives_the_same_image(name: str) -> None:
    pixels = decode(encode(gradient(), name), (32, 48)).pixels
    expected = np.asarray(gradient().resize((48, 32), Image.Resampling.BOX), np.float32)
    assert pixels.shape == (32, 48, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - expected).mean() < 6  # GIF has 256 colours


@pytest.mark.parametrize("resize", images.RESIZE_MODES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, resize: str) -> None:
    upright = gradient()
    turn = STORED[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turned = decode(encode(stored, "PNG", exif=exif), (40, 32), resize)
    plain = decode(encode(upright, "PNG"), (40, 32), resize)
    assert np.abs(turned.pixels.astype(int) - plain.pixels).max() <= 2
    assert np.abs(turned.thumbnail.astype(int) - plain.thumbnail).max() <= 3


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_equals_pillow(orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    if name in ("AVIF", "HEIF"):
        formats.register_heic()
    data = encode(gradient(96, 64), name, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    expected = np.asarray(upright.resize((30, 50), Image.Resampling.HAMMING), int)
    assert np.abs(decode(data, (50, 30)).pixels - expected).max() <= 2


@pytest.mark.parametrize("value", [0, 9, 6000])
def test_senseless_orientation_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    turned, plain = encode(gradient(), "PNG", exif=exif), encode(gradient(), "PNG")
    assert (decode(turned, (20, 30)).pixels == decode(plain, (20, 30)).pixels).all()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = gradient().convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    elif mode == "PA":
        image = gradient().convert("P").convert("PA")
    else:
        image = (
            gradient().convert("RGB").convert(mode)
            if mode not in ("I", "F")
            else image.convert(mode)
        )
    name = (
        "JPEG" if mode in ("CMYK", "YCbCr") else "TIFF" if mode in ("I", "F", "LA", "PA") else "PNG"
    )
    data = encode(image.convert("LA") if mode == "PA" else image, name)
    pixels = decode(data, (16, 24)).pixels
    assert pixels.shape == (16, 24, 3)
    assert pixels.max() > 120  # the bright side is bright in every mode
    assert pixels.min() < 90


@pytest.mark.parametrize(("bits", "highest"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_deep_grey_is_scaled_not_clipped(bits: int, highest: int) -> None:
    values = np.linspace(0, highest, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = decode(encode(Image.fromarray(values), "TIFF"), (64, 64)).pixels
    expected = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    assert np.abs(pixels[..., 0] - expected).max() <= 1


def test_transparency_shows_white() -> None:
    image = Image.new("RGBA", (20, 20), (200, 0, 0, 0))
    assert (decode(encode(image, "PNG"), (8, 8)).pixels == 255).all()


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data, (4, 4)).pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("resize", images.RESIZE_MODES)
def test_jpeg_at_reduced_scale_gives_the_same_image(resize: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    coarse = np.random.default_rng(0).integers(0, 256, (12, 40, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((1600, 512), Image.Resampling.BICUBIC)
    data = encode(image, "JPEG", quality=95, exif=exif)
    full = Image.open(io.BytesIO(data))
    full.load()  # from_array takes it as it is
    difference = decode(data, (150, 180), resize).pixels.astype(int)
    difference -= from_array(full, (150, 180), resize)
    assert np.abs(difference).mean() < 1
    assert np.abs(difference).max() < 10


def test_large_jpeg_is_decoded_at_reduced_scale() -> None:
    data = encode(gradient(4000, 3000), "JPEG")
    start = time.process_time()
    Image.open(io.BytesIO(data)).convert("RGB")
    whole = time.process_time() - start
    start = time.process_time()
    decode(data, (224, 224))
    assert time.process_time() - start < whole / 2


def test_resize_is_anti_aliased() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = decode(encode(Image.fromarray(stripes), "PNG"), (32, 32)).pixels
    assert np.abs(pixels.astype(int) - 127).max() < 12


@pytest.mark.parametrize("tall", [False, True])
def test_crop_keeps_the_middle_and_pad_keeps_everything(tall: bool) -> None:
    stripe = np.zeros((50, 150, 3), np.uint8)
    stripe[:, 50:100] = (0, 255, 0)
    data = encode(Image.fromarray(stripe.swapaxes(0, 1) if tall else stripe), "PNG")
    cropped, padded = decode(data, (30, 30), "crop").pixels, decode(data, (30, 30), "pad").pixels
    padded = padded.swapaxes(0, 1) if tall else padded
    assert (cropped[2:-2, 2:-2] == (0, 255, 0)).all()
    assert (padded[:10] == images.PAD_COLOUR).all()
    assert (padded[-10:] == images.PAD_COLOUR).all()
    assert (padded[15, 2] == 0).all()
    assert (padded[15, 15] == (0, 255, 0)).all()


@pytest.mark.parametrize(
    ("resize", "shape"), [("squash", (120, 60)), ("crop", (60, 60)), ("pad", (120, 120))]
)
def test_what_part_is_kept(resize: str, shape: tuple[int, int]) -> None:
    """`shape` is (width, height) of the part of a 120 x 60 image that a square target shows."""
    part = Image.new("RGB", shape, images.PAD_COLOUR)
    part.paste(gradient(120, 60), ((shape[0] - 120) // 2, (shape[1] - 60) // 2))
    expected = np.asarray(part.resize((32, 32), Image.Resampling.HAMMING), int)
    pixels = decode(encode(gradient(120, 60), "PNG"), (32, 32), resize).pixels
    inside = slice(9, 23) if resize == "pad" else slice(None)  # its edges are sharper here
    assert np.abs(pixels - expected)[inside].max() <= 3


def test_thumbnail_shows_the_whole_image_whatever_the_resize() -> None:
    data = encode(gradient(120, 60), "PNG")
    shown = [decode(data, (32, 32), resize).thumbnail.astype(int) for resize in images.RESIZE_MODES]
    assert shown[0].shape == (formats.THUMBNAIL,) * 2
    assert np.abs(shown[0] - shown[1]).max() <= 3
    assert np.abs(shown[0] - shown[2]).max() <= 3


def huge_png() -> bytes:
    """A few bytes that claim 169 megapixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 13000, 13000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"hello, I am text and no image at all", "not an image"),
        (encode(gradient(), "JPEG")[:400], "broken"),
        (encode(gradient(), "PNG")[:200], "broken"),
        (encode(gradient(), "WEBP")[:100], "broken"),
        (b"GIF89a" + b"\0" * 40, "broken"),
        (b"\xff\xd8\xff" + b"junk" * 20, "broken"),
        (b"II*\0" + b"\xff" * 60, "broken"),
        (huge_png(), "too large"),
    ],
)
def test_bad_files_are_told(data: bytes, message: str) -> None:
    with pytest.raises(BadImage, match=message):
        decode(data, (32, 32))


def test_size_limit_is_checked_on_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(BadImage, match="96 x 64"):
        decode(encode(gradient(), "PNG"), (32, 32))


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_never_crash(seed: int) -> None:
    random = np.random.default_rng(seed)
    name = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"][seed % 6]
    data = bytearray(encode(gradient(), name))
    for place in random.integers(4, len(data), 12):
        data[place] = random.integers(256)
    with suppress(BadImage):
        assert decode(bytes(data), (16, 16)).pixels.shape == (16, 16, 3)


def test_unknown_resize() -> None:
    with pytest.raises(HeadstartError, match="Expected one of: squash, crop, pad"):
        decode(encode(gradient(), "PNG"), (8, 8), "stretch")
    with pytest.raises(HeadstartError, match="Expected one of: squash, crop, pad"):
        from_array(gradient(), (8, 8), "stretch")


def test_array_equals_file() -> None:
    pixels = np.asarray(gradient())
    assert (
        from_array(pixels, (20, 30)) == decode(encode(gradient(), "PNG"), (20, 30)).pixels
    ).all()


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        3,
    ],
)
def test_bad_array(bad: object) -> None:
    with pytest.raises(BadImage, match="is no image"):
        from_array(bad, (8, 8))  # type: ignore[arg-type]


def test_the_image_of_the_caller_stays_as_it_is() -> None:
    image = Image.open(io.BytesIO(encode(gradient(1600, 1200), "JPEG")))
    from_array(image, (32, 32))
    assert image.size == (1600, 1200)


def test_broken_pillow_image() -> None:
    with pytest.raises(BadImage, match="broken: "):
        from_array(Image.open(io.BytesIO(encode(gradient(), "JPEG")[:700])), (8, 8))


def test_file_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" + bytes(2_000_000))
    monkeypatch.setattr(guard, "MAX_BYTES", 1_000_000)
    with pytest.raises(BadImage, match="too large: 2 MB in one file, at most 1 MB"):
        images.read_bytes(tmp_path / "a.jpg")


def test_missing_file() -> None:
    with pytest.raises(BadImage, match="cannot be read: No such file"):
        images.read_bytes("nowhere.jpg")
