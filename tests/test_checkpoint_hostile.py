"""Checkpoints that were made to run code or to take memory."""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkpoint_file import (
    DICTIONARY,
    body,
    file_bytes,
    name,
    numbers,
    old_file,
    storage,
    storage_id,
    table,
    tensor,
    zip_file,
)

from headstart.backbones.checkpoint import read_checkpoint
from headstart.errors import HeadstartError

EXTENSION = 240


class OnRebuild:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


class OnState:
    """Makes a folder when it gets its state back."""

    def __setstate__(self, folder: str) -> None:
        Path(folder).mkdir()


class OnNew:
    """Makes a folder when it is made."""

    def __new__(cls, folder: str) -> OnNew:
        Path(folder).mkdir()
        return super().__new__(cls)


def own(attribute: str) -> bytes:
    return name(__name__, attribute)


TRAPS: dict[str, Callable[[str], bytes]] = {
    "reduce 0": lambda folder: pickle.dumps(OnRebuild(folder), 0)[:-1],
    "reduce 2": lambda folder: pickle.dumps(OnRebuild(folder), 2)[:-1],
    "stack global": lambda folder: pickle.dumps(OnRebuild(folder), 4)[:-1],
    "eval": lambda folder: (
        name("builtins", "eval") + body(f"__import__('os').mkdir({folder!r})") + b"\x85R"
    ),
    "inst": lambda folder: b"(" + body(folder) + b"ios\nmkdir\n",
    "obj": lambda folder: b"(" + name("os", "mkdir") + body(folder) + b"o",
    "new": lambda folder: own("OnNew") + body(folder) + b"\x85\x81",
    "new with names": lambda folder: own("OnNew") + body(folder) + b"\x85}\x92",
    "state": lambda folder: b"(" + own("OnState") + b"o" + body(folder) + b"b",
    "extension": lambda folder: b"\x82" + struct.pack("<B", EXTENSION) + body(folder) + b"\x85R",
    "attribute": lambda folder: (
        b"\x80\x04" + body("os") + body("path.os.mkdir") + b"\x93" + body(folder) + b"\x85R"
    ),
}
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "first": lambda trap: trap + b".",
    "table": lambda trap: old_file(trap + b".", {}),
    "among the tensors": lambda trap: old_file(table({"a": tensor(), "b": trap}), {}),
    "in a tensor": lambda trap: old_file(table({"a": tensor(hooks=trap)}), {"0": numbers()}),
    "in a storage": lambda trap: old_file(table({"a": tensor(storage_id(trap))}), {}),
    "list of storages": lambda trap: old_file(table({"a": tensor()}), {})[:-4] + trap + b".",
    "zip": lambda trap: zip_file(table({"a": tensor(hooks=trap)}), {"0": numbers()}),
}


@pytest.fixture(autouse=True)
def extension() -> Iterator[None]:
    copyreg.add_extension("os", "mkdir", EXTENSION)
    yield
    copyreg.remove_extension("os", "mkdir", EXTENSION)


@pytest.mark.parametrize("trap", TRAPS)
def test_traps_work_on_plain_pickle(trap: str, tmp_path: Path) -> None:
    pickle.loads(TRAPS[trap](str(tmp_path / "made")) + b".")
    assert (tmp_path / "made").is_dir()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("trap", TRAPS)
def test_runs_no_code(trap: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(PLACES[place](TRAPS[trap](str(tmp_path / "made"))))
    with pytest.raises(HeadstartError, match=r"not allowed|something else than a table"):
        read_checkpoint(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("torch", "load"),
        ("torch", "storage.os"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch._utils", "_rebuild_tensor"),
        ("collections", "deque"),
        ("builtins", "getattr"),
        ("numpy", "ndarray"),
        ("headstart.backbones.checkpoint", "read_checkpoint"),
    ],
)
def test_other_names(module: str, attribute: str, tmp_path: Path) -> None:
    refused = rf"{module}\.{attribute} is not allowed"
    with pytest.raises(HeadstartError, match=refused):
        read(tmp_path, old_file(b"\x80\x02" + name(module, attribute) + b".", {}))


@pytest.mark.parametrize(
    ("identifier", "reason"),
    [
        (body(None), "it refers to something else"),
        (body("storage"), "it refers to something else"),
        (body(["storage", "<f4", "0", "cpu", 24]), "it refers to something else"),
        (body(("storage", "<f4", "0", "cpu")), "it refers to something else"),
        (body(("storage", "<f4", "0", "cpu", 24, None, None)), "it refers to something else"),
        (body(("module", "<f4", "0", "cpu", 24)), "it refers to something else"),
        (body(("storage", "object", "0", "cpu", 24)), "it refers to something else"),
        (body(("storage", None, "0", "cpu", 24)), "it refers to something else"),
        (body(("storage", "<f4", "0", "cpu", 24, ("1", 0, 24))), "it refers to something else"),
        (body(("storage", "<f4", ["0"], "cpu", 24)), "a storage is not described as usual"),
        (body(("storage", "<f4", 0, "cpu", 24)), "a storage is not described as usual"),
        (body(("storage", "<f4", "0", "cpu", "24")), "a storage is not described as usual"),
        (body(("storage", "<f4", "0", "cpu", True)), "a storage is not described as usual"),
        (body(("storage", "<f4", "0", "cpu", -1)), "a storage is not described as usual"),
        (body(("storage", "<f4", "0", "cpu", 24.0)), "a storage is not described as usual"),
        (body(("storage", "<f4", "0", "cpu", 10**15)), "it ends too early"),
    ],
)
def test_odd_storages(identifier: bytes, reason: str, tmp_path: Path) -> None:
    held = table({"a": tensor(identifier + b"Q")})
    for layout in ("old", "zip"):
        with pytest.raises(HeadstartError, match=reason):
            read(tmp_path, file_bytes(layout, held, {"0": numbers()}))


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (tensor(size=(4, 7)), "a tensor does not lie in its storage"),
        (tensor(offset=1), "a tensor does not lie in its storage"),
        (tensor(size=(24, 2), stride=(1, 0)), "a tensor does not lie in its storage"),
        (tensor(size=(2,), stride=(24,)), "a tensor does not lie in its storage"),
        (tensor(size=(10**30,), stride=(0,)), "a tensor does not lie in its storage"),
        (tensor(size=(4,)), "a tensor has an impossible shape"),
        (tensor(size=(1,) * 65, stride=(1,) * 65), "a tensor has an impossible shape"),
        (tensor(size=(-4, -6)), "a tensor has an impossible shape"),
        (tensor(stride=(-6, 1)), "a tensor has an impossible shape"),
        (tensor(offset=-1), "a tensor has an impossible shape"),
        (tensor(offset="0"), "a tensor has an impossible shape"),
        (tensor(size=(4.0, 6.0)), "a tensor has an impossible shape"),
        (tensor(size=[4, 6]), "a tensor is not described as usual"),
        (tensor(stride=None), "a tensor is not described as usual"),
        (tensor(body(("<f4", "0", 24))), "a tensor is not described as usual"),
        (name("torch._utils", "_rebuild_tensor_v2") + b")R", "missing 4 required"),
        (name("torch", "FloatStorage") + b")R", "not callable"),
        (DICTIONARY, "something else than tensors"),
        (name("collections", "OrderedDict") + body([1, 2]) + b"\x85R", "than named tensors"),
        (tensor(storage("LongStorage")), "two storages have one name"),
    ],
)
def test_odd_tensors(described: bytes, reason: str, tmp_path: Path) -> None:
    held = table({"a": tensor(), "b": described})
    for layout in ("old", "zip"):
        with pytest.raises(HeadstartError, match=reason):
            read(tmp_path, file_bytes(layout, held, {"0": numbers()}))


def laughs(depth: int) -> bytes:
    """A tuple of 2 ** `depth` elements that takes a few bytes: each level holds the last twice."""
    return b")" + b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(depth))


def local_header(key: str) -> bytes:
    entry = zipfile.ZipInfo(f"model/data/{key}")
    entry.CRC = entry.file_size = entry.compress_size = 0
    return entry.FileHeader()


def overlapping_zip(count: int, size: int) -> bytes:
    """Each member holds all those after it, so that together they are much more than the file."""
    keys = [f"{number:07}" for number in range(count)]  # 48 bytes a header: a multiple of 4
    data, held, file = b"".join(map(local_header, keys)) + bytes(size), {}, io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, key in enumerate(keys):
            entry, rest = zipfile.ZipInfo(f"model/data/{key}"), data[48 * (number + 1) :]
            entry.header_offset, entry.CRC = 48 * number, zlib.crc32(rest)
            entry.file_size = entry.compress_size = len(rest)
            archive.filelist.append(entry)
            held[key] = tensor(storage(key=key, length=len(rest) // 4), (1,), (1,))
        file.write(data)
        archive.start_dir = file.tell()
        archive.writestr("model/data.pkl", table(held))
    return file.getvalue()


BOMBS = {
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**28) + b".",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**28) + b".",
    "text": b"\x80\x02X" + struct.pack("<I", 2**28) + b".",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**28) + b".",
    "integer": b"\x80\x02\x8b" + struct.pack("<i", 2**28) + b".",
    "memo": b"\x80\x02Nr" + struct.pack("<I", 2**28) + b".",
    "storage": old_file(table({"a": tensor(storage(length=2**28))}), {"0": numbers()}),
    "stated": old_file(table({"a": tensor()}), {})[:-4] + b"]X\1\0\0\0\x30a." + b"\xff" * 8,
    "name of a storage": old_file(
        table({"a": tensor(storage_id(body("storage"), body("<f4"), laughs(24), b"NK\1"))}), {}
    ),
    "name of a tensor": old_file(b"\x80\x02}" + laughs(32) + b"Ns.", {}),
    "names in pairs": old_file(
        b"\x80\x02" + name("collections", "OrderedDict") + b"]](" + laughs(32) + b"Nea\x85R.", {}
    ),
    "names of storages": old_file(table({"a": tensor()}), {})[:-4] + b"]" + laughs(24) + b"a.",
    "storage of a tensor": zip_file(table({"a": tensor(laughs(32))}), {}),
    "deep tuple": zip_file(table({"a": tensor(b")" + b"\x85" * 100_000)}), {}),
    "compressed": zip_file(table({"a": tensor()}), {"0": numbers(2**20)}, b"little", 8),
    "overlapping": overlapping_zip(100, 2**20),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_takes_little_memory_and_time(bomb: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(BOMBS[bomb])
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(HeadstartError, match="cannot be read"):
            read_checkpoint(tmp_path / "weights.pth")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000 + 30 * len(BOMBS[bomb])
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 3


def read(folder: Path, data: bytes) -> None:
    (folder / "weights.pth").write_bytes(data)
    read_checkpoint(folder / "weights.pth")
