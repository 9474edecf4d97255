"""Fixtures for all tests; caches, Keras' home and the look of terminals are the tests' own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]

_own = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported, so that subprocesses and modules read the same places."""
    place = tempfile.mkdtemp(prefix="headstart-tests-")
    config.stash[_own] = place
    os.environ["HEADSTART_CACHE"] = str(Path(place, "cache"))
    os.environ["KERAS_HOME"] = str(Path(place, "keras"))
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["COLUMNS"] = "100"
    for name in ("FORCE_COLOR", "HEADSTART_CACHE_LIMIT", "HEADSTART_WEIGHTS_URL"):
        os.environ.pop(name, None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script
        signal.signal(signal.SIGINT, signal.default_int_handler)  # or children ignore it as well
    if data := os.environ.get("HEADSTART_TEST_DATA"):
        os.environ["HEADSTART_TEST_DATA"] = str(Path(data).resolve())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take away what the tests kept."""
    shutil.rmtree(config.stash[_own], ignore_errors=True)


@pytest.fixture
def test_data() -> Path:
    """The folder of real images, with `ants-bees/` and `trashnet/`; skips where there is none."""
    place = os.environ.get("HEADSTART_TEST_DATA")
    if not place:
        pytest.skip("HEADSTART_TEST_DATA names no folder of real images")
    if not Path(place).is_dir():
        pytest.fail(f"HEADSTART_TEST_DATA is {place}, which is no folder")
    return Path(place)


@pytest.fixture(scope="module")  # Playwright holds an event loop; other modules want their own
def running() -> Iterator[Any]:
    """A running Chromium with a webcam that is made up; skips where there is none."""
    from browse import MISSING, browser, chromium

    if chromium() is None:
        pytest.skip(MISSING)
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with browser(*camera) as found:
        yield found


# How an upright image is stored for each EXIF orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def make_image(rng: np.random.Generator, hue: float, size: tuple[int, int]) -> Image.Image:
    """An image of coarse random light and dark in one colour, so that no two are near-copies.

    Args:
        rng: Draws the pattern.
        hue: The colour, 0 to 1.
        size: (height, width) in pixels.
    """
    light = Image.fromarray(rng.integers(70, 256, (6, 6), dtype=np.uint8))
    value = light.resize(size[::-1], Image.Resampling.BICUBIC)
    colour = Image.new("L", value.size, int(hue * 255))
    full = Image.new("L", value.size, 220)
    return Image.merge("HSV", (colour, full, value)).convert("RGB")


def make_image_folder(
    folder: Path,
    classes: Sequence[str] = ("daisies", "roses", "tulips"),
    per_class: int = 10,
    size: tuple[int, int] = (48, 64),
    seed: int = 0,
) -> Path:
    """Fill `folder` with a folder for each class, of JPEG and PNG images in the class's colour.

    Args:
        folder: Where to make it; made where it is not there.
        classes: Names of the classes.
        per_class: How many images each class gets.
        size: (height, width) in pixels.
        seed: Another seed gives other images of the same classes.
    """
    rng = np.random.default_rng(seed)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(per_class):
            kind = "png" if index % 3 == 2 else "jpg"
            image = make_image(rng, number / len(classes), size)
            image.save(folder / name / f"{index:03}.{kind}")
    return folder


@pytest.fixture
def image_folder(tmp_path: Path) -> MakeFolder:
    """Makes folders of images: `image_folder(classes=..., per_class=..., size=..., seed=...)`.

    `name` ("photos") is the folder's name below the test's own temporary folder.
    """

    def make(
        name: str = "photos",
        classes: Sequence[str] = ("daisies", "roses", "tulips"),
        per_class: int = 10,
        size: tuple[int, int] = (48, 64),
        seed: int = 0,
    ) -> Path:
        return make_image_folder(tmp_path / name, classes, per_class, size, seed)

    return make
