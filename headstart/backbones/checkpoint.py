"""Read the tensors of a PyTorch checkpoint (.pth) as numpy arrays, without PyTorch.

Such a file is a pickle, alone (old style) or in a zip, and a pickle can run any code. This
unpickler knows the operations that a table of tensors is written with and three harmless names (an
ordered dictionary, the rebuilding of a tensor, the kinds of storage), and refuses everything else.
Every size that the file states is held against the size of the file before anything is read by it.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from headstart.errors import HeadstartError

Tensors = dict[str, npt.NDArray[Any]]
_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "DoubleStorage": "<f8",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
_PICKLE_BYTES = 16_000_000  # the largest pickle in a zip; those of real networks are below 1 MB
_DIMENSIONS = 64  # as many as numpy has
_TABLE = b"".join(  # what PyTorch writes a table of tensors with
    (
        *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.REDUCE, pickle.BINPERSID),
        *(pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.EMPTY_TUPLE, pickle.APPEND, pickle.APPENDS),
        *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
        *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET),
        *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT, pickle.BINUNICODE),
        *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1),
        *(pickle.BINSTRING, pickle.SHORT_BINSTRING),  # text, written on Python 2
    )
)


class _Storage(NamedTuple):
    """Numbers that lie one after the other in the file: their type, name and how many they are."""

    dtype: str
    key: str
    length: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.length * np.dtype(self.dtype).itemsize


class _Tensor(NamedTuple):
    """A view of a storage, whose numbers have not been read yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_more: Any) -> _Tensor:
    shaped = isinstance(size, tuple) and isinstance(stride, tuple)
    if not isinstance(storage, _Storage) or not shaped:
        raise pickle.UnpicklingError("a tensor is not described as usual")
    if any(type(number) is not int or number < 0 for number in (offset, *size, *stride)):
        raise pickle.UnpicklingError("a tensor has an impossible shape")
    return _Tensor(storage, offset, size, stride)


def _new_dictionary(pairs: Any = ()) -> dict[str, Any]:
    """An ordered dictionary; Python 2 gave it the items, as pairs."""
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise pickle.UnpicklingError("it holds something else than named tensors")
    if not all(isinstance(key, str) for key, _ in pairs):
        raise pickle.UnpicklingError("it holds something else than named tensors")
    return dict(pairs)


class _Source:
    """The bytes of a file that has `size` of them; reads exactly as many as it is asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self.size - self._file.tell():
            raise EOFError("it ends too early")
        return self._file.read(count)

    def readline(self) -> bytes:
        return self._file.readline()


# The pure Python unpickler: its operations can be replaced, and it takes no memory by a number that
# the pickle states (in C the memo's index does).
class _Unpickler(pickle._Unpickler):
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _new_dictionary
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, identifier: Any) -> _Storage:
        if not isinstance(identifier, tuple) or len(identifier) not in (5, 6):
            raise pickle.UnpicklingError("it refers to something else than a storage")
        kind, dtype, key, _device, length, *view = identifier
        if kind != "storage" or dtype not in _STORAGES.values() or view not in ([], [None]):
            raise pickle.UnpicklingError("it refers to something else than a storage")
        if not isinstance(key, str) or type(length) is not int or length < 0:
            raise pickle.UnpicklingError("a storage is not described as usual")
        return _Storage(dtype, key, length)

    def _set_one(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(key, value)

    def _set_many(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._set(key, value)

    def _set(self, key: Any, value: Any) -> None:
        # Only text: the hash of nested tuples can take for ever.
        if not isinstance(key, str) or not isinstance(self.stack[-1], dict):
            raise pickle.UnpicklingError("it holds something else than named tensors")
        self.stack[-1][key] = value

    def _leave_out(self) -> None:
        self.stack.pop()  # attributes of the dictionary: the versions of its layers

    def _refuse(self) -> None:
        raise pickle.UnpicklingError("it holds something else than a table of tensors")

    dispatch: ClassVar[Any] = (
        dict.fromkeys(range(256), _refuse)
        | {code: pickle._Unpickler.dispatch[code] for code in _TABLE}
        | {pickle.SETITEM[0]: _set_one, pickle.SETITEMS[0]: _set_many, pickle.BUILD[0]: _leave_out}
    )


def read_checkpoint(path: Path) -> Tensors:
    """Read all tensors of a checkpoint.

    Returns:
        Read-only arrays by name, in the checkpoint's own layout (convolution kernels are (out, in,
        height, width)).

    Raises:
        HeadstartError: Not such a file, damaged, or holding anything but tensors.
    """
    try:
        with path.open("rb") as file:
            source = _Source(file, os.fstat(file.fileno()).st_size)
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    return _read_zip(archive, source.size)
            file.seek(0)
            return _read_old(source)
    except Exception as error:  # pickle, zipfile and numpy raise many kinds for a damaged file
        reason = str(error).strip() or type(error).__name__
        raise HeadstartError(
            f"The weights file '{path}' cannot be read: {reason[:300]}. Expected a PyTorch "
            "checkpoint (.pth) that holds tensors only. Copy or install it anew."
        ) from error


def _read_old(source: _Source) -> Tensors:
    if _unpickle(source) != _MAGIC:
        raise ValueError("it does not begin like a checkpoint")
    _unpickle(source)  # the protocol's version
    _unpickle(source)  # sizes of the writer's numbers
    tensors = _checked(_unpickle(source))
    wanted, keys = _storages(tensors, source.size), _unpickle(source)
    if not isinstance(keys, list) or any(not isinstance(key, str) for key in keys):
        raise ValueError("its list of storages is damaged")
    if set(keys) != set(wanted):
        raise ValueError("it has other storages than its tensors need")
    storages = {}
    for key in keys:
        storage = wanted[key]
        if int.from_bytes(source.read(8), "little") != storage.length:
            raise ValueError("a storage has another length than is stated")
        storages[key] = _numbers(storage, source.read(storage.size))
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


def _read_zip(archive: zipfile.ZipFile, limit: int) -> Tensors:
    names = archive.namelist()
    tables = [name for name in names if name.endswith("/data.pkl")]
    if len(tables) != 1:
        raise ValueError("it is a zip without a table of tensors (data.pkl)")
    folder = tables[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in names and _member(archive, f"{folder}byteorder", 8) != b"little":
        raise ValueError("its numbers are big-endian")
    table = _member(archive, tables[0], min(limit, _PICKLE_BYTES))
    tensors = _checked(_unpickle(_Source(io.BytesIO(table), len(table))))
    storages = {}
    for key, storage in _storages(tensors, limit).items():
        storages[key] = _numbers(storage, _member(archive, f"{folder}data/{key}", storage.size))
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """The whole of one member, which PyTorch never compresses (so it cannot be a zip bomb)."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise ValueError(f"{name} is compressed")
    if entry.file_size > limit:
        raise ValueError(f"{name} is too large")
    return archive.read(entry)


def _unpickle(source: _Source) -> Any:
    return _Unpickler(source).load()


def _checked(tensors: Any) -> Mapping[str, _Tensor]:
    if not isinstance(tensors, dict) or not tensors:
        raise ValueError("it holds something else than tensors")
    if not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise ValueError("it holds something else than tensors")
    return tensors


def _storages(tensors: Mapping[str, _Tensor], limit: int) -> dict[str, _Storage]:
    """The storages of all tensors, by name; together they have at most `limit` bytes."""
    storages: dict[str, _Storage] = {}
    for tensor in tensors.values():
        if storages.setdefault(tensor.storage.key, tensor.storage) != tensor.storage:
            raise ValueError("two storages have one name")
    if sum(storage.size for storage in storages.values()) > limit:
        raise EOFError("it ends too early")
    return storages


def _numbers(storage: _Storage, data: bytes) -> npt.NDArray[Any]:
    if len(data) != storage.size:
        raise ValueError("a storage has another length than is stated")
    return np.frombuffer(data, storage.dtype)


def _array(tensor: _Tensor, storages: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The view that a tensor is of its storage; strides count numbers, not bytes."""
    storage, size, stride = storages[tensor.storage.key], tensor.size, tensor.stride
    if len(size) != len(stride) or len(size) > _DIMENSIONS:
        raise ValueError("a tensor has an impossible shape")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if count > len(storage) or (count and last >= len(storage)):
        raise ValueError("a tensor does not lie in its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], size, steps, writeable=False)
