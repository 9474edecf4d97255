from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageEnhance

from headstart.copies import copy_groups
from headstart.errors import HeadstartError
from headstart.formats import THUMBNAIL

Pixels = npt.NDArray[np.uint8]


def thumbnail(image: Image.Image) -> Pixels:
    small = image.convert("RGB").resize((224, 224), Image.Resampling.HAMMING, reducing_gap=2.0)
    return np.asarray(small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX).convert("L"))


def scenes(count: int, seed: int = 0) -> list[Image.Image]:
    """Images of blobs that differ in every way."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 7, 9, 3), np.uint8)
    return [Image.fromarray(one).resize((360, 280), Image.Resampling.BICUBIC) for one in coarse]


def groups_of(images: list[Image.Image]) -> npt.NDArray[np.int64]:
    digests = [bytes([index % 256, index // 256]) for index in range(len(images))]
    return copy_groups(digests, np.stack([thumbnail(image) for image in images]))


def compressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return Image.open(file)


def changed(image: Image.Image, change: str) -> Image.Image:
    width, height = image.size
    if change.startswith("x"):
        scale = float(change[1:])
        image = image.resize((int(width * scale), int(height * scale)))
        return compressed(image, 90)
    if change.startswith("q"):
        return compressed(image, int(change[1:]))
    return ImageEnhance.Brightness(image).enhance(float(change[1:]))


@pytest.mark.parametrize("change", ["x0.5", "x1.5", "q50", "q90", "b0.85", "b1.08"])
def test_changed_copies(change: str) -> None:
    images = scenes(60)
    groups = groups_of(images + [changed(image, change) for image in images])
    assert groups.tolist() == [*range(60)] * 2


def test_equal_bytes_are_copies_whatever_they_show() -> None:
    thumbnails = np.zeros((5, THUMBNAIL, THUMBNAIL), np.uint8)
    assert copy_groups([b"a", b"b", b"a", b"c", b"b"], thumbnails).tolist() == [0, 1, 0, 2, 1]


def test_flat_images_are_not_copies() -> None:
    random = np.random.default_rng(0)
    flat = [np.full((16, 16), 128) + random.integers(-1, 2, (16, 16)) for _ in range(20)]
    white = [np.full((16, 16), 255)] * 20
    thumbnails = np.stack([*flat, *white]).astype(np.uint8)
    groups = copy_groups([bytes([index]) for index in range(40)], thumbnails)
    assert len(set(groups.tolist())) == 40


def test_objects_on_one_backdrop_are_not_copies() -> None:
    backdrop = np.linspace(90, 250, 256)[:, None] * np.linspace(0.7, 1, 256)[None]
    images = []
    for index in range(60):
        pixels = backdrop.copy()
        top, left = 60 + 15 * (index // 8), 60 + 15 * (index % 8)
        pixels[top : top + 30, left : left + 30] = 60
        images.append(Image.fromarray(pixels.astype(np.uint8)))
    assert len(set(groups_of(images).tolist())) == 60


def test_fine_textures_are_not_copies() -> None:
    random = np.random.default_rng(1)
    images = [Image.fromarray(random.integers(90, 160, (56, 56), np.uint8)) for _ in range(300)]
    assert len(set(groups_of(images).tolist())) == 300


def test_a_chain_is_cut() -> None:
    first, last = (np.asarray(image).astype(float) for image in scenes(2))
    steps = np.linspace(0, 1, 200)
    chain = [Image.fromarray((first * (1 - t) + last * t).astype(np.uint8)) for t in steps]
    groups = groups_of(chain)
    assert groups[0] == groups[1]
    assert groups[0] != groups[-1]
    assert 3 <= len(set(groups.tolist())) < 100


def test_many_copies_of_one_image_are_one_group() -> None:
    image = scenes(1)[0]
    copies = [changed(image, f"q{40 + index % 55}") for index in range(300)]
    groups = groups_of([*copies, *scenes(50, seed=5)])
    assert set(groups[:300].tolist()) == {0}
    assert len(set(groups.tolist())) == 51


def test_groups_do_not_depend_on_the_order() -> None:
    images = scenes(40)
    images += [changed(image, "q60") for image in images]
    order = np.random.default_rng(0).permutation(len(images))
    groups, shuffled = groups_of(images), groups_of([images[index] for index in order])
    together = groups[order][:, None] == groups[order][None]
    assert np.array_equal(shuffled[:, None] == shuffled[None], together)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images(count: int) -> None:
    images = scenes(2)[:count]
    thumbnails = np.array([thumbnail(image) for image in images], np.uint8).reshape(-1, 16, 16)
    groups = copy_groups([bytes([index]) for index in range(count)], thumbnails)
    assert groups.tolist() == list(range(count))


@pytest.mark.parametrize(
    "thumbnails",
    [np.zeros((2, 16, 16), np.uint8), np.zeros((1, 8, 8), np.uint8), np.zeros((1, 16, 16))],
)
def test_wrong_shapes(thumbnails: Pixels) -> None:
    with pytest.raises(HeadstartError, match=r"Thumbnails cannot be .* Expected uint8"):
        copy_groups([b"a"], thumbnails)


def test_speed() -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (20_000, 16, 16), np.uint8)
    digests = [index.to_bytes(4, "big") for index in range(len(thumbnails))]
    begin = time.perf_counter()
    groups = copy_groups(digests, thumbnails)
    assert time.perf_counter() - begin < 5
    assert groups[-1] == 19_999


def test_real_images() -> None:
    folder = os.environ.get("HEADSTART_TEST_DATA")
    if not folder:
        pytest.skip("HEADSTART_TEST_DATA is not set")
    paths = sorted(Path(folder, "trashnet", "paper").iterdir())[::3]
    images = [Image.open(path) for path in paths]
    groups = groups_of(images + [changed(image, "q70") for image in images[::4]])
    count = len(images)
    assert np.array_equal(groups[count:], groups[:count:4])
    assert len(set(groups[:count].tolist())) > 0.97 * count
