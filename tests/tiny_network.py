"""The backbone `tiny` and what it must answer, for the tests of prefix and features."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from headstart.backbones import load_backbone
from headstart.engine import OpenVINOEngine, Vector, to_half
from headstart.features import Features
from headstart.images import decode
from headstart.prefix import Prefix, make_prefix

SIZE = (24, 40)
IMAGES = list(np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8))


def tiny(engine: str = "openvino") -> Prefix:
    """The frozen network at `SIZE`, in float32."""
    return make_prefix(load_backbone("tiny"), SIZE, engine, "float32")


@functools.cache
def expected() -> Vector:
    """What Keras answers for `IMAGES`."""
    model = load_backbone("tiny").build(SIZE)
    return np.asarray(model.predict_on_batch(np.stack(IMAGES)), np.float32)


def answers(prefix: Prefix) -> bool:
    """Whether a prefix gives for `IMAGES` what Keras does."""
    got = np.array(list(prefix.open().stream(IMAGES)))
    return bool(np.abs(got - expected()).max() <= 1e-4 * np.abs(expected()).max())


@functools.cache
def _converted() -> Path:
    """The converted network, made once for all tests; it goes with pytest's own cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(Path(os.environ["HEADSTART_CACHE"]) / "tiny"))
        return tiny().converted()


def own_cache(patch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Give the test a cache of its own in which `tiny` is converted already."""
    converted = _converted()
    shutil.copytree(converted, folder / "prefixes" / converted.name)
    patch.setenv("HEADSTART_CACHE", str(folder))
    return folder


def expected_features(paths: Sequence[Path], resize: str = "squash") -> npt.NDArray[np.float16]:
    """What `extract` must give, float16 (n, 32), without its cache, threads and blocks."""
    images = [decode(path.read_bytes(), SIZE, resize).pixels for path in paths]
    engine = OpenVINOEngine(_converted() / "prefix.xml", "float32", 1)
    return np.stack([to_half(vector) for vector in engine.stream(images)])


def matrix(features: Features) -> npt.NDArray[np.float16]:
    """All rows."""
    return features.matrix(np.arange(len(features.digests)))
