"""A zip file in, a folder with its content out, unpacked once and kept in the cache.

The archive is not trusted: names that lead outside, links, special files, encryption, names that
occur twice and archives that unpack to far more than they weigh are refused before anything is
written. The folder is named by the archive's SHA-256, so the same archive is unpacked once,
whatever its name. Overlapping entries: David Fifield, "A better zip bomb",
https://www.bamsoftware.com/hacks/zipbomb/
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from headstart import atomic
from headstart.errors import DatasetError
from headstart.locations import cache_root
from headstart.scan import display

MAX_ENTRIES = 2_000_000
MAX_BYTES = 1 << 40  # unpacked, in all
MAX_DEPTH = 32  # folders within folders
MAX_RATIO = 200  # unpacked to packed; images that are packed already stay near 1
RATIO_FROM_BYTES = 50_000_000  # below this size a high ratio does no harm
_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_NOT_ON_WINDOWS = frozenset('<>:"|?*')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(1, 10))}
)
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)


class _AlreadyThere(Exception):
    """Another process has unpacked the same archive in the meantime."""


def is_zip(path: Path) -> bool:
    """Whether the file begins as a zip file does.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def unpack(path: Path, cache: Path | None = None, name: str | None = None) -> Path:
    """Unpack a zip file into the cache, or find it there.

    Args:
        path: A zip file, of any origin.
        cache: The cache folder; by default `locations.cache_root()`.
        name: What errors call the file; by default its own name.

    Returns:
        The folder that holds its content.

    Raises:
        DatasetError: It is no zip file, damaged, hostile, encrypted, or the cache cannot take it.
    """
    name = display(name or path.name)
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = _checked(archive, name, os.fstat(file.fileno()).st_size)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            target = (cache or cache_root()) / "archives" / digest
            if _is_complete(target, entries):
                os.utime(target)  # when it was last used, for the cache limit
            else:
                _fill(archive, entries, target, name)
    except DatasetError:
        raise
    except _ZIP_ERRORS as error:
        raise DatasetError(
            f"'{name}' is damaged or not a zip file: {error}. Expected a zip file that opens. "
            "Make or fetch it again."
        ) from error
    except OSError as error:
        raise DatasetError(
            f"'{name}' cannot be unpacked: {error.strerror or error}. Expected a readable zip file "
            "and room in the cache folder. Free some room, or set HEADSTART_CACHE to another "
            "folder."
        ) from error
    return target


def _refusal(name: str, why: str) -> DatasetError:
    return DatasetError(
        f"'{name}' is refused: {why}. Expected a plain zip file of images. Unpack it yourself "
        "if you trust it, and give the folder."
    )


def _checked(archive: zipfile.ZipFile, name: str, size: int) -> list[zipfile.ZipInfo]:
    """The entries of the archive, after every check that needs no unpacking."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _refusal(name, f"it holds {len(entries)} entries, at most {MAX_ENTRIES} are read")
    for entry in entries:
        why = _why_hostile(entry)
        if why:
            raise _refusal(name, f"'{display(entry.orig_filename)[:200]}' {why}")
    _check_names(entries, name)
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if packed > size:
        raise _refusal(name, "its entries overlap")
    if unpacked > MAX_BYTES:
        raise _refusal(name, f"it unpacks to {unpacked / 1e9:.0f} GB")
    if unpacked > RATIO_FROM_BYTES and unpacked > MAX_RATIO * size:
        raise _refusal(name, f"it unpacks to {unpacked // max(1, size)} times its own size")
    return entries


def _why_hostile(entry: zipfile.ZipInfo) -> str | None:
    name = entry.orig_filename
    parts = name.removesuffix("/").split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    findings = (
        (entry.flag_bits & _ENCRYPTED, "is encrypted"),
        (kind == stat.S_IFLNK, "is a link"),
        (kind not in (0, stat.S_IFREG, stat.S_IFDIR), "is a special file"),
        ("\0" in name or "\\" in name, "has a NUL or a backslash in its name"),
        (name.startswith("/") or name[1:2] == ":", "has an absolute name"),
        (not all(parts) or not {".", ".."}.isdisjoint(parts), "has a name that leads elsewhere"),
        (len(parts) > MAX_DEPTH, f"lies more than {MAX_DEPTH} folders deep"),
        (os.name == "nt" and is_bad_on_windows(parts), "has a name that Windows cannot hold"),
    )
    return next((why for found, why in findings if found), None)


def is_bad_on_windows(parts: list[str]) -> bool:
    """Whether Windows cannot hold a file below these folders, the last of which is its name."""
    return any(
        part.endswith((".", " "))
        or not _NOT_ON_WINDOWS.isdisjoint(part)
        or part.partition(".")[0].rstrip().lower() in _DEVICES
        for part in parts
    )


def _check_names(entries: list[zipfile.ZipInfo], name: str) -> None:
    """Refuse a name that occurs twice, also one that is a file here and a folder there."""
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        path = entry.filename
        if not entry.is_dir() and path in files:
            raise _refusal(name, f"'{display(path)[:200]}' occurs twice")
        (folders if entry.is_dir() else files).add(path.removesuffix("/"))
        above = path.removesuffix("/").rpartition("/")[0]
        while above and above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    both = sorted(files & folders)
    if both:
        raise _refusal(name, f"'{display(both[0])[:200]}' is both a file and a folder")


def _is_complete(target: Path, entries: list[zipfile.ZipInfo]) -> bool:
    """Whether `target` holds every file at its size; somebody may have tidied the cache by hand."""
    if not target.is_dir():
        return False
    try:
        return all(_stands(target / entry.filename, entry) for entry in entries)
    except OSError:
        return False


def _stands(path: Path, entry: zipfile.ZipInfo) -> bool:
    return entry.is_dir() or path.stat().st_size == entry.file_size


def _fill(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], target: Path, name: str
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    needed = sum(entry.file_size for entry in entries)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise DatasetError(
            f"'{name}' unpacks to {needed / 1e6:.0f} MB, and only {free / 1e6:.0f} MB are free in "
            "the cache folder. Expected room for all of it. Free some, or set HEADSTART_CACHE to "
            "another folder."
        )
    try:
        with atomic.new_folder(target) as folder:
            for entry in entries:
                _write(archive, entry, folder, name)
            if _is_complete(target, entries):
                raise _AlreadyThere
    except _AlreadyThere:
        return


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, name: str) -> None:
    path = folder / entry.filename
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    try:
        # "x": on a file system that ignores case, A.jpg must not replace a.jpg.
        with archive.open(entry) as source, path.open("xb") as file:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > entry.file_size:
                    break
                file.write(chunk)
    except FileExistsError as error:
        raise _refusal(name, f"'{display(entry.filename)[:200]}' occurs twice") from error
    if written != entry.file_size:
        raise _refusal(name, f"'{display(entry.filename)[:200]}' is not of the size it declares")
