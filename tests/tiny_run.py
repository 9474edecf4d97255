"""A run of `headstart.fit` with the backbone `tiny`, made once for all tests that need one."""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import make_image

from headstart.recipe import Recipe
from headstart.run import Run
from headstart.training import fit

SIDE = 32
RECIPE = Recipe(backbone="tiny", image_size=SIDE, resize="squash", unfreeze=0, precision="float32")
CLASSES = ("daisies", "roses", "tulips")
PER_CLASS = 20


def make_mixed_folder(folder: Path, classes: tuple[str, ...] = CLASSES, seed: int = 0) -> Path:
    """Fill `folder` with images of classes whose colours overlap, so that not all can be right."""
    rng = np.random.default_rng(seed)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(PER_CLASS):
            hue = (number / len(classes) + rng.normal(0, 0.12)) % 1
            make_image(rng, hue, (24, 32)).save(folder / name / f"{index:02}.png")
    return folder


@dataclass(frozen=True)
class Trained:
    """What came out, and the folders: of the images, of the bundle and of the cache."""

    run: Run
    photos: Path
    bundle: Path
    cache: Path

    @property
    def paths(self) -> list[Path]:
        """The images, all of them."""
        return sorted(self.photos.rglob("*.*"))


@functools.cache
def trained() -> Trained:
    """A classifier of three classes; it goes with pytest's own cache folder."""
    place = Path(os.environ["HEADSTART_CACHE"]) / "trained"
    photos = make_mixed_folder(place / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(place / "cache"))
        run = fit(photos, RECIPE, out=place / "bundle")
    return Trained(run, photos, place / "bundle", place / "cache")


def fresh_cache(patch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Give the test a cache of its own in which `tiny` is converted already."""
    shutil.copytree(trained().cache / "prefixes", folder / "prefixes")
    patch.setenv("HEADSTART_CACHE", str(folder))
    return folder
