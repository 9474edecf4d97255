"""What happens to features when processes are killed, disks are full and files are damaged."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_network import expected_features, matrix, own_cache, tiny

from headstart import conversion, progress
from headstart.errors import HeadstartError
from headstart.features import extract, record_key
from headstart.features import extraction as module
from headstart.store import Store, StoreError, open_store

MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return own_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def paths(image_folder: MakeFolder) -> list[Path]:
    """Forty small images."""
    return sorted(image_folder(classes=["a"], per_class=40, size=(16, 16)).rglob("*.*"))


def records(cache: Path) -> Path:
    return cache / "features" / tiny().identity.key


CHILD = """
import hashlib, json, sys, time
from pathlib import Path
import numpy as np
from headstart.features import extraction as features
from headstart.backbones import load_backbone
from headstart.prefix import make_prefix

def slow(data, size, resize, decode=features.decode):
    time.sleep(float(sys.argv[1]))
    return decode(data, size, resize)

features.decode = slow
features._FLUSH_RECORDS = 4
print("started", flush=True)
prefix = make_prefix(load_backbone("tiny"), (24, 40), "openvino", "float32")
found = features.extract([Path(name) for name in sys.argv[2:]], prefix)
rows = found.matrix(np.arange(len(sys.argv) - 2))
print(json.dumps([found.computed, hashlib.sha256(rows).hexdigest()]))
"""


def start(pause: float, paths: Sequence[Path]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(pause), *map(str, paths)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def finish(process: subprocess.Popen[str]) -> Any:
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return json.loads(output)


def test_killed_at_random_moments(paths: list[Path], cache: Path) -> None:
    chance = random.Random(5)
    kept = 0
    for _ in range(6):
        process = start(0.15, paths)
        time.sleep(chance.uniform(0.2, 0.8))
        process.kill()
        process.communicate()
        with open_store(records(cache)) as store:
            assert store.count() >= kept
            kept = store.count()
    found = extract(paths, tiny())
    assert found.computed == 40 - kept  # what was written is not computed again
    assert np.array_equal(matrix(found), expected_features(paths))


def test_eight_processes_at_once(paths: list[Path]) -> None:
    processes = [start(0.0, random.Random(number).sample(paths, 40)) for number in range(7)]
    results = [finish(process) for process in [start(0.0, paths), *processes]]
    assert results[0][1] == hashlib.sha256(expected_features(paths).tobytes()).hexdigest()
    assert sum(computed for computed, _ in results) >= 40
    found = extract(paths, tiny())
    assert found.computed == 0
    assert np.array_equal(matrix(found), expected_features(paths))


@pytest.fixture
def heard() -> Generator[list[str]]:
    """The remarks."""
    remarks: list[str] = []
    with progress.listen(lambda event: remarks.append(event.message) if event.message else None):
        yield remarks


def full_after(count: int) -> Callable[[Store, Iterable[tuple[bytes, bytes]]], None]:
    """A `Store.put` that writes `count` times, and then finds the disk full."""
    put, calls = Store.put, iter(range(count))

    def limited(self: Store, records: Iterable[tuple[bytes, bytes]]) -> None:
        if next(calls, None) is None:
            raise StoreError("cannot write: No space left on device")
        put(self, records)

    return limited


@pytest.mark.parametrize("writes", [0, 1, 3])
def test_disk_gets_full(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, heard: list[str], writes: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", full_after(writes))
        patch.setattr(module, "_FLUSH_RECORDS", 4)
        found = extract(paths, tiny())
        assert np.array_equal(matrix(found), expected_features(paths))
        assert np.array_equal(matrix(found.take(np.array([39, 0]))), matrix(found)[[39, 0]])
    assert len(heard) == 1
    assert heard[0].startswith("features are not kept, only used in this run: cannot write")
    assert extract(paths, tiny()).computed == 40 - 4 * writes


def test_map_is_full(
    image_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, heard: list[str]
) -> None:
    paths = sorted(image_folder("many", ["a"], 300, (8, 8)).rglob("*.*"))
    monkeypatch.setattr("headstart.store._MAP_SIZES", (1 << 16,))
    found = extract(paths, tiny())
    assert found.computed == 300
    assert np.array_equal(matrix(found), expected_features(paths))
    assert len(heard) == 1
    assert "MDB_MAP_FULL" in heard[0]


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
"""


@pytest.mark.parametrize("size", [0, 10_000, 80_000])
def test_files_may_not_grow(image_folder: MakeFolder, cache: Path, size: int) -> None:
    paths = sorted(image_folder("many", ["a"], 150, (8, 8)).rglob("*.*"))
    program = LIMITED.format(size=size) + CHILD
    done = subprocess.run(
        [sys.executable, "-c", program, "0", *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256(expected_features(paths).tobytes()).hexdigest()
    assert json.loads(done.stdout.splitlines()[-1]) == [150, digest]
    assert np.array_equal(matrix(extract(paths, tiny())), expected_features(paths))


def test_cache_that_takes_nothing(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(conversion, "_own_folder", lambda: tmp_path)
    monkeypatch.setattr(conversion, "_outside", {})
    monkeypatch.setattr(module, "_RENEW", 8)
    for _ in range(2):
        found = extract(paths, tiny())
        assert found.computed == 40
        assert np.array_equal(matrix(found), expected_features(paths))
    assert ["not kept" in remark for remark in heard] == [True] * 3  # the network's, twice ours


def test_damaged_record_is_made_anew(paths: list[Path], cache: Path) -> None:
    content = matrix(extract(paths, tiny()))[11].tobytes()
    file = records(cache) / "data.mdb"
    data = bytearray(file.read_bytes())
    data[data.index(content) + 20] ^= 1
    file.write_bytes(data)
    found = extract(paths, tiny())
    assert found.computed == 1
    assert np.array_equal(matrix(found), expected_features(paths))


@pytest.mark.parametrize("length", [0, 1, 319, 321])
def test_record_of_another_size_is_made_anew(paths: list[Path], cache: Path, length: int) -> None:
    found = extract(paths, tiny())
    with open_store(records(cache)) as store:
        store.put([(record_key(found.digests[3], "squash", bytes(8)), bytes(length))])
    again = extract(paths, tiny())
    assert again.computed == 1
    assert np.array_equal(matrix(again), expected_features(paths))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_records_are_made_anew(
    paths: list[Path], cache: Path, heard: list[str], part: float
) -> None:
    extract(paths, tiny())
    file = records(cache) / "data.mdb"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])
    found = extract(paths, tiny())
    assert found.computed == 40
    assert np.array_equal(matrix(found), expected_features(paths))
    assert heard == [f"{records(cache).name} was damaged and is made anew"]


@pytest.mark.parametrize("gone", ["features", "cache"])
def test_features_removed_meanwhile(
    paths: list[Path], cache: Path, tmp_path: Path, gone: str
) -> None:
    found = extract(paths, tiny())
    cache.rename(tmp_path / "elsewhere")
    if gone == "cache":
        cache.write_text("in the way")
    with pytest.raises(HeadstartError, match=r"Features are missing.*Run the same command again"):
        matrix(found)
