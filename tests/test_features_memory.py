"""How much is held in memory while features are made."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import numpy as np
import pytest
from tiny_network import own_cache, tiny

from headstart import progress
from headstart.engine import Vector
from headstart.features import extract
from headstart.features import extraction as module
from headstart.images import Decoded, Pixels, decode
from headstart.prefix import Prefix

MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return own_cache(monkeypatch, tmp_path / "cache")


class Stuck:
    """An engine that takes one image and waits until the decoders do nothing any more."""

    def __init__(self, decoded: list[int]) -> None:
        self.decoded = decoded

    def stream(self, images: Iterable[Pixels]) -> Generator[Vector]:
        images = iter(images)
        next(images)
        seen = -1
        while seen != len(self.decoded):
            seen = len(self.decoded)
            time.sleep(0.2)
        yield np.zeros(32, np.float32)
        for _ in images:
            yield np.zeros(32, np.float32)


def test_decoders_work_a_bounded_number_ahead(
    image_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(image_folder("many", ["a"], 400, (8, 8)).rglob("*.*"))
    decoded: list[int] = []
    ahead: list[int] = []

    def counting(data: bytes, size: tuple[int, int], resize: str) -> Decoded:
        decoded.append(1)
        return decode(data, size, resize)

    def heard(event: progress.Event) -> None:
        if event.done == 1:
            ahead.append(len(decoded))

    monkeypatch.setattr(module, "decode", counting)
    monkeypatch.setattr("headstart.workers.cpu_count", lambda: 2)
    monkeypatch.setattr(Prefix, "open", lambda _: Stuck(decoded))
    with progress.listen(heard):
        assert extract(paths, tiny()).computed == 400
    assert 1 < ahead[0] <= 60


MEMORY = """
import resource, sys
from pathlib import Path
from headstart.backbones import load_backbone
from headstart.features import extract
from headstart.prefix import make_prefix
prefix = make_prefix(load_backbone("tiny"), (24, 40), "openvino", "float32")
paths = sorted(Path(sys.argv[1]).rglob("*.*"))[: int(sys.argv[2])]
found = extract(paths, prefix)
print(found.computed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(
    image_folder: MakeFolder, cache: Path
) -> None:
    folder = image_folder("many", ["a"], 12_000, (16, 16))

    def peak(count: int) -> tuple[int, int]:
        command = [sys.executable, "-c", MEMORY, str(folder), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        computed, kilobytes = done.stdout.split()
        return int(computed), int(kilobytes)

    few, many, kept = peak(1000), peak(12_000), peak(12_000)
    assert (few[0], many[0], kept[0]) == (1000, 11_000, 0)
    # 12,000 thumbnails and digests take 5 MB.
    assert many[1] < few[1] * 1.1
    assert kept[1] < few[1] * 1.1
