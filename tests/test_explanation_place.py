"""Maps lie on the right place of the image, however it is resized and turned."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import STORED
from PIL import Image
from tiny_run import trained

from headstart import explain
from headstart.errors import HeadstartError
from headstart.explanation.place import put_in_place, shown_image
from headstart.images import BadImage, decode

SIZE = (96, 64)


def upright_image(height: int, width: int) -> Image.Image:
    """Soft light and dark, with no symmetry."""
    light = np.random.default_rng(0).integers(0, 256, (5, 5), dtype=np.uint8)
    return Image.fromarray(light).resize((width, height), Image.Resampling.BICUBIC).convert("RGB")


def stored(image: Image.Image, orientation: int) -> bytes:
    """A PNG whose pixels are turned so that EXIF turns them back."""
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    (image if turn is None else image.transpose(turn)).save(file, "PNG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("shape", [(120, 300), (300, 120), (150, 100)])
def test_a_map_comes_back_to_where_it_was_seen(
    orientation: int, resize: str, shape: tuple[int, int]
) -> None:
    """What the network sees, taken for a map, is the image itself again."""
    data = stored(upright_image(*shape), orientation)
    seen = decode(data, SIZE, resize).pixels
    shown = shown_image(data)
    assert shown.shape == (*shape, 3)
    placed = put_in_place((seen[..., 0] / 255).astype(np.float32), shown.shape, SIZE, resize)
    known = ~np.isnan(placed)
    assert np.abs(placed - shown[..., 0] / 255)[known].mean() < 0.02
    ratio = shape[0] * SIZE[1] / (shape[1] * SIZE[0])
    share = min(ratio, 1 / ratio) if resize == "crop" else 1
    assert known.mean() == pytest.approx(share, abs=0.01)


def test_a_coarse_map_is_smooth_and_stays_within_its_range() -> None:
    heat = np.zeros((3, 3), np.float32)
    heat[1, 2] = 1
    placed = put_in_place(heat, (90, 150, 3), (96, 64), "squash")
    assert np.unravel_index(placed.argmax(), placed.shape) == pytest.approx((45, 128), abs=5)
    assert placed.min() == 0
    assert placed.max() == pytest.approx(1, abs=0.01)
    assert np.abs(np.diff(placed, axis=1)).max() < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (700, 1)])
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_images_of_any_shape(shape: tuple[int, int], resize: str) -> None:
    placed = put_in_place(np.ones((7, 5), np.float32), shape, SIZE, resize)
    assert placed.shape == shape
    assert np.nanmin(placed) == pytest.approx(1)


def test_an_image_is_shown_upright_and_not_too_large(tmp_path: Path) -> None:
    image = upright_image(600, 900)
    (tmp_path / "a.png").write_bytes(stored(image, 6))
    small = shown_image(tmp_path / "a.png", longest=300)
    assert small.shape == (200, 300, 3)
    wanted = np.asarray(image.resize((300, 200), Image.Resampling.LANCZOS))
    assert np.abs(small.astype(int) - wanted).mean() < 1
    assert shown_image(image).shape == (533, 800, 3)
    assert shown_image(np.asarray(image)[:40, :50, 0]).shape == (40, 50, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"text", "not an image"),
        (Path("none.png"), r"none\.png: cannot be read: No such file"),
        (np.zeros((4, 4), np.float32), r"float32 \(4, 4\) is no image"),
        (3, "A int is no image"),
    ],
)
def test_what_is_no_image(given: Any, message: str) -> None:
    with pytest.raises(BadImage, match=message):
        shown_image(given)


def test_the_image_that_is_explained_stays(tmp_path: Path) -> None:
    bundle, image = trained().bundle, trained().paths[3]
    own, link = Path(shutil.copy(image, tmp_path / "own.png")), tmp_path / "link.png"
    link.symlink_to(own)
    for source, target in ((own, own), (own, link), (link, own)):
        with pytest.raises(HeadstartError, match=r"png' is the image that is explained"):
            explain(bundle, source).save(target)
    assert own.read_bytes() == image.read_bytes()
    explain(bundle, own.read_bytes()).save(tmp_path / "x.png")
