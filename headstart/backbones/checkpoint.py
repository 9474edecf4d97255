"""Read the tensors of a PyTorch checkpoint (.pth) as numpy arrays, without PyTorch.

Such a file is a pickle, alone (old style) or in a zip, and a pickle can run any code. This
unpickler knows three harmless names (an ordered dictionary, the rebuilding of a tensor, the kinds
of storage), gives for them only objects that a pickle cannot change for others, and refuses
everything else. Every size that the file states is held against the size of the file before
anything is read by it.
"""

from __future__ import annotations

import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

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
_FAULTS = (
    # What unpickling and reading raise on files that are damaged or hostile.
    OSError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _Storage(NamedTuple):
    """Numbers that lie one after the other in the file: their type, name and how many they are."""

    dtype: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A view of a storage, whose numbers have not been read yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


# The pure Python unpickler, since the one in C takes memory by what the pickle says (its memo's
# index).
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: _Tensor(
                *arguments[:4]
            )  # a new one each time: a pickle may set
        if module == "torch" and name in _STORAGES:  # attributes on a function
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("registered extensions are not allowed")

    def persistent_load(self, identifier: Any) -> _Storage:
        kind, dtype, key, _device, count = identifier[:5]
        if kind != "storage" or dtype not in _STORAGES.values():
            raise pickle.UnpicklingError("it refers to something else than a storage")
        return _Storage(dtype, str(key), int(count))


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
            return _read_zip(file) if zipfile.is_zipfile(file) else _read_old(file)
    except _FAULTS as error:
        reason = str(error).strip() or type(error).__name__
        raise HeadstartError(
            f"The weights file '{path}' cannot be read: {reason[:300]}. Expected a PyTorch "
            "checkpoint (.pth) that holds tensors only. Copy or install it anew."
        ) from error


def _read_old(file: BinaryIO) -> Tensors:
    file.seek(0)
    if _unpickle(file) != _MAGIC:
        raise ValueError("it does not begin like a checkpoint")
    _unpickle(file)  # the protocol's version
    _unpickle(file)  # sizes of the writer's numbers
    tensors = _checked(_unpickle(file))
    keys = [str(key) for key in _unpickle(file)]
    wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = {}
    for key in keys:
        storage = wanted[key]._replace(length=int.from_bytes(_take(file, 8), "little"))
        storages[key] = _numbers(storage, lambda size: _take(file, size))
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


def _read_zip(file: BinaryIO) -> Tensors:
    with zipfile.ZipFile(file) as archive:
        (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = index.removesuffix("data.pkl")
        if archive.getinfo(index).file_size > _PICKLE_BYTES:
            raise ValueError("its table of contents is too large")
        if f"{folder}byteorder" in archive.namelist():
            with archive.open(f"{folder}byteorder") as member:
                if member.read(8) != b"little":
                    raise ValueError("its numbers are big-endian")
        with archive.open(index) as member:
            tensors = _checked(_unpickle(member))
        storages = {}
        for storage in {tensor.storage for tensor in tensors.values()}:
            with _stored(archive, f"{folder}data/{storage.key}") as read:
                storages[storage.key] = _numbers(storage, read)
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


@contextmanager
def _stored(archive: zipfile.ZipFile, name: str) -> Iterator[Callable[[int], bytes]]:
    """A reader of one member, which PyTorch never compresses (so it cannot be a zip bomb)."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its tensors are compressed")
    with archive.open(entry) as member:
        yield lambda size: member.read(min(size, entry.file_size))


def _unpickle(file: Any) -> Any:
    return _Unpickler(file).load()


def _checked(tensors: Any) -> Mapping[str, _Tensor]:
    if not isinstance(tensors, dict) or not tensors:
        raise ValueError("it holds something else than tensors")
    if not all(isinstance(name, str) for name in tensors):
        raise ValueError("a tensor has no name")
    if not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise ValueError("it holds something else than tensors")
    return tensors


def _take(file: BinaryIO, size: int) -> bytes:
    """Exactly `size` bytes, never more than the file still has."""
    left = os.fstat(file.fileno()).st_size - file.tell()
    if not 0 <= size <= left:
        raise EOFError("it ends too early")
    return file.read(size)


def _numbers(storage: _Storage, read: Callable[[int], bytes]) -> npt.NDArray[Any]:
    if storage.length < 0:
        raise ValueError("a storage has a negative size")
    data = read(storage.length * np.dtype(storage.dtype).itemsize)
    return np.frombuffer(data, storage.dtype, storage.length)


def _array(tensor: _Tensor, storages: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The view that a tensor is of its storage; strides count numbers, not bytes."""
    storage = storages[tensor.storage.key]
    size, stride = tuple(map(int, tensor.size)), tuple(map(int, tensor.stride))
    if len(size) != len(stride) or min((0, tensor.offset, *size, *stride)) < 0:
        raise ValueError("a tensor has an impossible shape")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size, start=1)
    if count > len(storage) or (count and last >= len(storage)):
        raise ValueError("a tensor does not lie in its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], size, steps, writeable=False)
