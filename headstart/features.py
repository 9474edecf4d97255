"""Features of many images, made once and kept: paths in, `float16 (n, features)` out.

A record's key is the SHA-256 of the image's bytes, the resize mode and the view, in a store of its own for each
prefix; its value is the features as raw float16 and the image's grey thumbnail. So a renamed or copied image
is computed once, an edited one again, and ten new images among ten thousand cost ten. Decoding, the engine and
writing overlap; memory stays the same for any number of images.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import chain, islice, takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart import formats, progress
from headstart.errors import HeadstartError
from headstart.images import BadImage, Decoded, Pixels, decode, map_in_order, read_bytes
from headstart.locations import cache_root
from headstart.prefix import Prefix
from headstart.store import Store, StoreError, open_store, read_in_blocks

_THUMBNAIL_BYTES = formats.THUMBNAIL**2
_BATCH = 4  # images a decoding task takes at once
_FLUSH_RECORDS, _FLUSH_SECONDS = 256, 1.0  # what kill -9 can lose at most
_LARGEST = float(np.finfo(np.float16).max)
STAGE = "features"


@dataclass(frozen=True)
class Features:
    """The kept features of n images.

    `digests` holds each image's SHA-256 (b"" where it could not be read), `thumbnails` uint8 (n, T, T);
    `bad` gives the reason for each row without features, `computed` counts those made in this call,
    `unreached` is the rows for which there was no time.
    """

    digests: tuple[bytes, ...]
    thumbnails: npt.NDArray[np.uint8]
    bad: dict[int, str]
    computed: int
    unreached: tuple[int, ...]
    width: int
    _keys: tuple[bytes, ...]
    _folder: Path
    _unkept: dict[bytes, bytes]

    def matrix(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
        """Read the features of `rows` (m,) as float16 (m, features).

        Raises:
            HeadstartError: They were removed from the cache since; running again makes them.
        """
        result = np.empty((len(rows), self.width), np.float16)
        keys = [self._keys[row] for row in rows]
        for position, content in enumerate(self._contents(keys)):
            if content is None:
                raise HeadstartError(
                    f"Features are missing in '{self._folder}'. They were there a moment ago and were removed "
                    "or damaged meanwhile. Run the same command again: only the missing are computed."
                )
            result[position] = np.frombuffer(content, np.float16, self.width)
        return result

    def take(self, rows: npt.NDArray[np.int64]) -> Features:
        """The features of some of the images, all of which have features, in the order of `rows`."""
        return replace(
            self,
            digests=tuple(self.digests[row] for row in rows),
            thumbnails=self.thumbnails[rows],
            bad={},
            unreached=(),
            _keys=tuple(self._keys[row] for row in rows),
        )

    def _contents(self, keys: list[bytes]) -> Iterator[bytes | None]:
        if not self._unkept:
            yield from read_in_blocks(self._folder, keys)
            return
        for key in keys:
            if key in self._unkept:
                yield self._unkept[key]
            else:
                yield from read_in_blocks(self._folder, [key])


def extract(
    paths: Sequence[Path],
    prefix: Prefix,
    *,
    resize: str = "squash",
    deadline: float = math.inf,
) -> Features:
    """Make the features of `paths` that are not kept yet, and keep them.

    Args:
        paths: The images.
        prefix: The frozen network.
        resize: `squash`, `crop` or `pad`.
        deadline: `time.monotonic()` at which to stop; what was made until then stays kept.

    Raises:
        HeadstartError: The network cannot be loaded, or gives values that are not finite.
    """
    folder = cache_root() / "features" / prefix.identity.key
    run = _Extraction(folder, prefix, resize, len(paths))
    run.run(paths, deadline)
    return run.features()


def record_key(digest: bytes, resize: str, view: int = 0) -> bytes:
    """The key of one image's features in the store of a prefix."""
    return digest + resize[:1].encode() + view.to_bytes(2, "big")


def to_half(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Round features as they are kept: float16, clipped to what it can hold."""
    return np.clip(vector, -_LARGEST, _LARGEST).astype(np.float16)


@dataclass(frozen=True)
class _Looked:
    """One image as a decoding thread leaves it: kept already (`content`), to compute (`decoded`), or `bad`."""

    row: int
    digest: bytes = b""
    content: bytes | None = None
    decoded: Decoded | None = None
    bad: str = ""


class _Extraction:
    """The state of one `extract`; only `look` is called from other threads."""

    def __init__(self, folder: Path, prefix: Prefix, resize: str, count: int) -> None:
        self.folder, self.prefix, self.resize = folder, prefix, resize
        self.size = prefix.width * 2 + _THUMBNAIL_BYTES
        self.store: Store | None = None
        self.digests = [b""] * count
        self.thumbnails = np.zeros((count, formats.THUMBNAIL, formats.THUMBNAIL), np.uint8)
        self.bad: dict[int, str] = {}
        self.unkept: dict[bytes, bytes] = {}
        self.pending: list[tuple[bytes, bytes]] = []
        self.flushed = time.monotonic()
        self.computed = 0

    def run(self, paths: Sequence[Path], deadline: float) -> None:
        with progress.stage(STAGE, len(paths)) as stage, ExitStack() as stack:
            try:
                self.store = stack.enter_context(open_store(self.folder))
            except StoreError as error:
                self._tell(error)
            waiting: deque[_Looked] = deque()
            needed = stack.enter_context(
                closing(self._needed(self._looked(paths, deadline), waiting, stage))
            )
            first = next(needed, None)
            if first is not None:  # else no engine is needed, and no framework imported
                for vector in self.prefix.open().stream(chain([first], needed)):
                    self._keep(waiting.popleft(), vector)
                    stage.advance()
            self._flush()

    def _looked(self, paths: Sequence[Path], deadline: float) -> Iterator[list[_Looked]]:
        rows = iter(enumerate(paths))
        batches = iter(lambda: list(islice(rows, _BATCH)), [])
        with closing(map_in_order(self._look, batches)) as looked:
            yield from takewhile(lambda _: time.monotonic() < deadline, looked)

    def _needed(
        self, looked: Iterator[list[_Looked]], waiting: deque[_Looked], stage: progress.Stage
    ) -> Iterator[Pixels]:
        """Give the pixels of each image whose features are missing; note the others."""
        with closing(looked):  # type: ignore[type-var]
            for batch in looked:
                for one in batch:
                    if one.decoded is not None:
                        waiting.append(one)
                        yield one.decoded.pixels
                        continue
                    if one.content is not None:
                        self._note(one, np.frombuffer(one.content[-_THUMBNAIL_BYTES:], np.uint8))
                    else:
                        self.bad[one.row] = one.bad
                    stage.advance()

    def _look(self, batch: list[tuple[int, Path]]) -> list[_Looked]:
        return [self._look_at(row, path) for row, path in batch]

    def _look_at(self, row: int, path: Path) -> _Looked:
        try:
            data = read_bytes(path)
            digest = hashlib.sha256(data).digest()
            if self.store is not None:
                (content,) = self.store.get([record_key(digest, self.resize)])
                if content is not None and len(content) == self.size:
                    return _Looked(row, digest, content=content)
            decoded = decode(data, self.prefix.identity.image_size, self.resize)
            return _Looked(row, digest, decoded=decoded)
        except BadImage as error:
            return _Looked(row, bad=str(error))

    def _note(self, one: _Looked, thumbnail: npt.NDArray[np.uint8]) -> None:
        self.digests[one.row] = one.digest
        self.thumbnails[one.row] = thumbnail.reshape(self.thumbnails.shape[1:])

    def _keep(self, one: _Looked, vector: npt.NDArray[np.float32]) -> None:
        assert one.decoded is not None
        if not np.isfinite(vector).all():
            raise HeadstartError(
                f"The backbone '{self.prefix.identity.backbone}' gave values that are not finite. Expected "
                "numbers for every image. Its weights file may be damaged: load it anew, or use float32."
            )
        self._note(one, one.decoded.thumbnail)
        content = to_half(vector).tobytes() + one.decoded.thumbnail.tobytes()
        self.pending.append((record_key(one.digest, self.resize), content))
        self.computed += 1
        late = time.monotonic() - self.flushed > _FLUSH_SECONDS
        if late or len(self.pending) >= _FLUSH_RECORDS:
            self._flush()

    def _flush(self) -> None:
        self.flushed = time.monotonic()
        if not self.pending:
            return
        if self.store is not None and not self.unkept:
            try:
                self.store.put(self.pending)
            except StoreError as error:
                self._tell(error)
                self.unkept.update(self.pending)
        else:
            self.unkept.update(self.pending)
        self.pending = []

    @staticmethod
    def _tell(error: StoreError) -> None:
        progress.remark(STAGE, f"features are not kept, only used in this run: {error}")

    def features(self) -> Features:
        rows = range(len(self.digests))
        return Features(
            digests=tuple(self.digests),
            thumbnails=self.thumbnails,
            bad=self.bad,
            computed=self.computed,
            unreached=tuple(row for row in rows if not self.digests[row] and row not in self.bad),
            width=self.prefix.width,
            _keys=tuple(record_key(digest, self.resize) for digest in self.digests),
            _folder=self.folder,
            _unkept=self.unkept,
        )
