from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from checkpoint_file import (
    KINDS,
    LAYOUTS,
    file_bytes,
    name,
    numbers,
    old_file,
    storage,
    table,
    tensor,
    zip_file,
)

from headstart.backbones.checkpoint import Tensors, read_checkpoint
from headstart.errors import HeadstartError

Write = Callable[[bytes], Path]
Array = npt.NDArray[Any]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(data: bytes) -> Path:
        path = tmp_path / "weights.pth"
        path.write_bytes(data)
        return path

    return to_file


def some_tensors() -> tuple[bytes, dict[str, Array], dict[str, Array]]:
    """A table, its storages, and what is to be read."""
    weight, count = numbers(), np.array([7], "<i8")
    held = table(
        {
            "conv.weight": tensor(),
            "bn.num_batches_tracked": tensor(storage("LongStorage", "1", 1), (), ()),
        }
    )
    expected = {"conv.weight": weight.reshape(4, 6), "bn.num_batches_tracked": count[0]}
    return held, {"0": weight, "1": count}, expected


def same(found: Tensors, expected: dict[str, Array]) -> bool:
    return list(found) == list(expected) and all(
        np.array_equal(found[key], value) and found[key].dtype == value.dtype
        for key, value in expected.items()
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_named_tensors(layout: str, write: Write) -> None:
    held, storages, expected = some_tensors()
    assert same(read_checkpoint(write(file_bytes(layout, held, storages))), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_numbers(layout: str, kind: str, write: Write) -> None:
    held = numbers(dtype=KINDS[kind])
    data = file_bytes(layout, table({"a": tensor(storage(kind))}), {"0": held})
    assert same(read_checkpoint(write(data)), {"a": held.reshape(4, 6)})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("size", "stride", "offset", "expected"),
    [
        ((24,), (1,), 0, lambda x: x),
        ((6, 4), (1, 6), 0, lambda x: x.reshape(4, 6).T),
        ((2, 3, 4), (4, 8, 1), 0, lambda x: x.reshape(3, 2, 4).transpose(1, 0, 2)),
        ((4, 3), (6, 2), 1, lambda x: x.reshape(4, 6)[:, 1::2]),
        ((2, 2), (6, 1), 16, lambda x: x.reshape(4, 6)[2:, 4:]),
        ((1, 24, 1), (99, 1, 99), 0, lambda x: x.reshape(1, 24, 1)),
        ((3, 4), (2, 1), 2, lambda x: np.stack([x[2:6], x[4:8], x[6:10]])),
        ((), (), 23, lambda x: x[23]),
        ((0, 6), (6, 1), 0, lambda x: x.reshape(4, 6)[:0]),
        ((9, 0), (6, 1), 0, lambda x: x.reshape(24, 1)[:9, :0]),
    ],
)
def test_views_of_a_storage(
    layout: str,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int,
    expected: Callable[[Array], Array],
    write: Write,
) -> None:
    view = tensor(size=size, stride=stride, offset=offset)
    data = file_bytes(layout, table({"view": view, "all": tensor()}), {"0": numbers()})
    found = read_checkpoint(write(data))
    assert same(found, {"view": expected(numbers()), "all": numbers().reshape(4, 6)})


def test_written_on_python_2(write: Write) -> None:
    """Texts are bytes, and a dictionary gets its items as a list of pairs."""
    text = b"X\x04\0\0\0bias"
    pair = b"](" + text + tensor() + b"e"
    held = b"\x80\x02" + name("collections", "OrderedDict") + b"](" + pair + b"e\x85R."
    for word in (b"bias", b"storage", b"cpu", b"0"):
        held = held.replace(b"X%c\0\0\0%b" % (len(word), word), b"U%c%b" % (len(word), word))
    assert b"U\x04bias" in held
    assert same(
        read_checkpoint(write(old_file(held, {"0": numbers()}))), {"bias": numbers().reshape(4, 6)}
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_empty_storage(layout: str, write: Write) -> None:
    empty = tensor(storage(length=0), (0, 3), (3, 1))
    found = read_checkpoint(write(file_bytes(layout, table({"a": empty}), {"0": numbers(0)})))
    assert found["a"].shape == (0, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_read_cannot_be_written_to(layout: str, write: Write) -> None:
    held, storages, _ = some_tensors()
    found = read_checkpoint(write(file_bytes(layout, held, storages)))["conv.weight"]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


NO_TABLE = "it holds something else than a table of tensors"
NO_TENSORS = "it holds something else than tensors"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "it ends too early", id="empty"),
        pytest.param(b"<!DOCTYPE html><title>Log in</title>", NO_TABLE, id="page"),
        pytest.param(b"\x89PNG\r\n\x1a\n", NO_TABLE, id="image"),
        pytest.param(b"\x80\x02K\x01.", "it does not begin like a checkpoint", id="pickle"),
        pytest.param(b"PK\5\6" + bytes(18), "it is a zip without a table of tensors", id="zip"),
        pytest.param(old_file(table({}), {}), NO_TENSORS, id="no tensors"),
        pytest.param(old_file(b"\x80\x02K\x07.", {}), NO_TENSORS, id="number"),
        pytest.param(old_file(b"\x80\x02}X\1\0\0\0aK\1s.", {}), NO_TENSORS, id="numbers"),
        pytest.param(
            old_file(b"\x80\x02}K\1K\1s.", {}),
            "it holds something else than named tensors",
            id="no names",
        ),
    ],
)
def test_other_files(data: bytes, reason: str, write: Write) -> None:
    path = write(data)
    with pytest.raises(HeadstartError) as caught:
        read_checkpoint(path)
    assert f"The weights file '{path}' cannot be read: {reason}" in str(caught.value)
    assert "Expected a PyTorch checkpoint (.pth) that holds tensors only." in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"cannot be read: .*No such file"):
        read_checkpoint(tmp_path / "missing.pth")
    with pytest.raises(HeadstartError, match=r"cannot be read: .*[Dd]irectory"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("storages", "reason"),
    [
        ({"0": numbers()}, "other storages than its tensors need"),
        ({"0": numbers(), "2": np.array([7], "<i8")}, "other storages than its tensors need"),
        ({"0": numbers(), "1": np.array([7, 8], "<i8")}, "a storage has another length"),
    ],
)
def test_old_file_with_other_storages(
    storages: dict[str, Array], reason: str, write: Write
) -> None:
    with pytest.raises(HeadstartError, match=reason):
        read_checkpoint(write(old_file(some_tensors()[0], storages)))


@pytest.mark.parametrize(
    ("storages", "options", "reason"),
    [
        ({"0": numbers()}, {}, "no item named 'model/data/1'"),
        ({"0": numbers(), "1": numbers(2)[:1]}, {}, "a storage has another length"),
        ({"0": numbers(), "1": numbers(3)}, {}, "model/data/1 is too large"),
        (None, {"byteorder": b"big"}, "its numbers are big-endian"),
        (None, {"compression": zipfile.ZIP_DEFLATED}, "is compressed"),
    ],
)
def test_other_zips(
    storages: dict[str, Array] | None, options: dict[str, Any], reason: str, write: Write
) -> None:
    held, right, _ = some_tensors()
    with pytest.raises(HeadstartError, match=reason):
        read_checkpoint(write(zip_file(held, storages or right, **options)))


def test_zip_with_damaged_numbers(write: Write) -> None:
    held, storages, _ = some_tensors()
    data, weight = zip_file(held, storages), storages["0"].tobytes()
    with pytest.raises(HeadstartError, match="Bad CRC-32"):
        read_checkpoint(write(data.replace(weight, weight[:-1] + b"\0")))


def test_zip_that_states_two_sizes(write: Write) -> None:
    held, storages, _ = some_tensors()
    file = io.BytesIO(zip_file(held, storages))
    with zipfile.ZipFile(file, "a") as archive:
        archive.getinfo("model/data/0").compress_size *= 2
        archive.comment = b"so that the table of members is written anew"
    with pytest.raises(HeadstartError, match="model/data/0 is compressed"):
        read_checkpoint(write(file.getvalue()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cut_anywhere(layout: str, write: Write) -> None:
    held, storages, _ = some_tensors()
    data = file_bytes(layout, held, storages)
    for end in (*range(0, len(data), 9), *range(len(data) - 30, len(data))):
        with pytest.raises(HeadstartError, match="cannot be read"):
            read_checkpoint(write(data[:end]))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits(layout: str, seed: int, write: Write) -> None:
    """A zip has checksums; in the old layout a flip among the numbers cannot be noticed."""
    held, storages, expected = some_tensors()
    data, draw, survived = file_bytes(layout, held, storages), random.Random(seed), 0
    for _ in range(150):
        damaged = bytearray(data)
        for place in draw.sample(range(len(data)), draw.choice((1, 1, 3))):
            damaged[place] ^= 1 << draw.randrange(8)
        try:
            found = read_checkpoint(write(bytes(damaged)))
        except HeadstartError:
            continue
        survived += 1
        assert sum(value.nbytes for value in found.values()) <= len(data)
        assert layout == "old" or same(found, expected)
    assert 0 < survived < 150
