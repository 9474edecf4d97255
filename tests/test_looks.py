"""How images look: the numbers, what is said of them, and that they are kept."""

from __future__ import annotations

import hashlib
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_image
from PIL import Image, ImageFilter

from headstart.checkup import looks
from headstart.checkup.appearance import remarks
from headstart.checkup.looks import FIELDS, blur, look_at, measure


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sharp(size: tuple[int, int] = (120, 160), seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))


def grey() -> Image.Image:
    return Image.fromarray(make_checks()).convert("RGB")


def make_checks() -> np.ndarray[Any, np.dtype[np.uint8]]:
    cells = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
    return np.kron(cells, np.ones((8, 8), np.uint8))


def seen(data: bytes) -> dict[str, float]:
    return dict(zip(FIELDS, look_at(data).tolist(), strict=True))


def said(data: bytes, name: str = "a.png", side: int = 100) -> dict[str, str]:
    return {one.kind: one.evidence for one in remarks(look_at(data)[None], [name], side)}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_upright_image(orientation: int) -> None:
    image = sharp((600, 400))
    exif = image.getexif()
    exif[0x0112] = orientation
    found = seen(encoded(image, "JPEG", exif=exif))
    turned = orientation >= 5
    assert (found["height"], found["width"]) == ((400, 600) if turned else (600, 400))


def test_colour_light_and_camera() -> None:
    image = Image.new("RGB", (50, 40), (200, 100, 50))
    exif = image.getexif()
    exif[0x010F], exif[0x0110] = "Maker", "Model"
    found = seen(encoded(image, "PNG", exif=exif))
    assert [found[name] for name in ("red", "green", "blue")] == [200, 100, 50]
    assert found["contrast"] < 1e-4
    assert found["darkest"] == pytest.approx(
        (0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 255, abs=2e-3
    )
    assert found["camera"] != 0
    assert seen(encoded(image))["camera"] == 0


def test_blur_grows_with_blurring() -> None:
    image = Image.fromarray(make_checks())
    values = [
        seen(encoded(image.filter(ImageFilter.GaussianBlur(radius))))["blur"]
        for radius in (0, 1, 3, 6)
    ]
    assert values == sorted(values)
    assert values[0] < 0.3
    assert values[2] > 0.7


def test_blur_does_not_depend_on_contrast() -> None:
    light = make_checks().astype(np.float32)
    faint = light * np.float32(0.1 / 255) + np.float32(0.4)
    assert blur(light) == pytest.approx(blur(faint), rel=1e-3)
    assert blur(np.ones((9, 9), np.float32)) == 1
    assert blur(np.ones((1, 1), np.float32)) == 0  # too small to say


@pytest.mark.parametrize(
    ("image", "kind", "evidence"),
    [
        (Image.new("RGB", (200, 200), (90, 90, 90)), "blank", "contrast 0.000"),
        (sharp((200, 200)).point(lambda value: value // 8), "dark", "of its pixels are below"),
        (grey().point(lambda value: 243 + value // 21), "bright", "are above"),
        (sharp((40, 300)), "tiny", "300 x 40 pixels; the network looks at 100 x 100"),
        (sharp((200, 900)), "odd", "is 4.5 times as long as wide"),
        (grey().filter(ImageFilter.GaussianBlur(5)), "blurred", "blur 0."),
    ],
)
def test_what_is_said(image: Image.Image, kind: str, evidence: str) -> None:
    assert evidence in said(encoded(image))[kind]


def test_nothing_is_said_of_a_good_image() -> None:
    assert said(encoded(sharp((200, 200)))) == {}


def odd_files() -> list[tuple[str, bytes, str]]:
    image = sharp((120, 120))
    frames = [sharp((120, 120), seed) for seed in (1, 2, 3)]
    clear = image.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((120, 120)))
    deep = Image.fromarray(np.random.default_rng(0).integers(0, 4096, (120, 120), dtype=np.uint16))
    return [
        ("a.jpg", encoded(image), "ends in .jpg and is PNG"),
        ("a.jpeg", encoded(image, "WEBP", lossless=True), "ends in .jpeg and is WEBP"),
        ("a.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "3 frames"),
        ("a.png", encoded(clear), "has a transparent layer"),
        ("a.png", encoded(deep), "has more than 8 bits"),
    ]


@pytest.mark.parametrize(("name", "data", "evidence"), odd_files())
def test_odd_files(name: str, data: bytes, evidence: str) -> None:
    assert evidence in said(data, name)["odd"]


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a", "a.tmp", "a.b.png"])
def test_endings_that_are_no_lie(name: str) -> None:
    assert "odd" not in said(encoded(sharp()), name)


def some_files(folder: Path, count: int) -> tuple[list[Path], list[bytes]]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        make_image(rng, 0.3, (24, 32)).save(path)
    return paths, [hashlib.sha256(path.read_bytes()).digest() for path in paths]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """How often an image was measured, in a cache of its own."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    calls: list[int] = []
    real = looks.look_at

    def look(data: bytes) -> Any:
        calls.append(1)
        return real(data)

    monkeypatch.setattr(looks, "look_at", look)
    return calls


def test_nothing_is_measured_twice(
    tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "_BLOCK", 5)
    paths, digests = some_files(tmp_path, 12)
    first = measure(paths, digests)
    assert len(counted) == 12
    np.testing.assert_array_equal(measure(paths, digests), first)
    assert len(counted) == 12
    moved = tmp_path / "moved.png"
    paths[3].rename(moved)
    np.testing.assert_array_equal(measure([moved], [digests[3]])[0], first[3])
    assert len(counted) == 12


def test_a_file_that_changed_says_nothing(tmp_path: Path, counted: list[int]) -> None:
    paths, digests = some_files(tmp_path, 3)
    paths[1].write_bytes(b"no image")
    found = measure(paths, digests)
    assert np.isfinite(found).all(axis=1).tolist() == [True, False, True]
    assert list(remarks(found[1:2], ["1.png"], 1000)) == []


def test_no_more_than_there_is_time_for(tmp_path: Path, counted: list[int]) -> None:
    paths, digests = some_files(tmp_path, 3)
    assert np.isnan(measure(paths, digests, deadline=time.monotonic() - 1)).all()
    assert not counted


def test_a_cache_that_cannot_be_written(
    tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "file"))
    paths, digests = some_files(tmp_path, 3)
    assert np.isfinite(measure(paths, digests)).all()
