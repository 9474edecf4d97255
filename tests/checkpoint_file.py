"""Write checkpoints as PyTorch does, piece by piece, so that each piece can be made wrong."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "DoubleStorage": "<f8",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
LAYOUTS = ("old", "zip")
Storages = Mapping[str, npt.NDArray[Any]]


def body(value: object) -> bytes:
    """A plain value within a pickle."""
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


DICTIONARY = name("collections", "OrderedDict") + b")R"


def storage(kind: str = "FloatStorage", key: str = "0", length: int = 24) -> bytes:
    return storage_id(
        body("storage"), name("torch", kind), body(key), body("cpu"), body(length), body(None)
    )


def storage_id(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"tQ"


def tensor(
    where: bytes | None = None,
    size: object = (4, 6),
    stride: object = (6, 1),
    offset: object = 0,
    hooks: bytes = DICTIONARY,
) -> bytes:
    described = body(offset) + body(size) + body(stride) + body(False)
    arguments = b"(" + (storage() if where is None else where) + described + hooks + b"t"
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def table(tensors: Mapping[str, bytes]) -> bytes:
    """The pickle that names the tensors; like PyTorch's it carries the versions of layers."""
    items = b"".join(body(key) + value for key, value in tensors.items())
    versions = b"}" + body("_metadata") + DICTIONARY + b"sb"
    return b"\x80\x02" + DICTIONARY + b"(" + items + b"u" + versions + b"."


def old_file(table: bytes, storages: Storages) -> bytes:
    start = [pickle.dumps(one, 2) for one in (MAGIC, 1001, {"little_endian": True})]
    end = [pickle.dumps(list(storages), 2)]
    end += [len(one).to_bytes(8, "little") + one.tobytes() for one in storages.values()]
    return b"".join([*start, table, *end])


def zip_file(
    table: bytes,
    storages: Storages,
    byteorder: bytes = b"little",
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """The newer layout, with the members that PyTorch 2 writes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("model/data.pkl", table)
        archive.writestr("model/.format_version", b"1")
        archive.writestr("model/.storage_alignment", b"64")
        archive.writestr("model/byteorder", byteorder)
        for key, numbers in storages.items():
            archive.writestr(f"model/data/{key}", numbers.tobytes())
        archive.writestr("model/version", b"3\n")
        archive.writestr("model/.data/serialization_id", b"0" * 40)
    return file.getvalue()


def file_bytes(layout: str, table: bytes, storages: Storages) -> bytes:
    return {"old": old_file, "zip": zip_file}[layout](table, storages)


def numbers(count: int = 24, dtype: str = "<f4") -> npt.NDArray[Any]:
    return np.random.default_rng(0).uniform(-99, 99, count).astype(dtype)
