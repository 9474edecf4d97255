"""Features of many images, made once and kept: paths in, `float16 (n, features)` out.

A record's key is the SHA-256 of the image's bytes, the resize mode and the view, in a store of its
own for each prefix; its value is the features as raw float16 and the image's grey thumbnail. So a
renamed or copied image is computed once, an edited one again, and ten new images among ten thousand
cost ten. Decoding, the engine and writing overlap; memory stays the same for any number of images.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart import formats, progress
from headstart.errors import HeadstartError
from headstart.images import BadImage, Pixels, check_resize, decode, read_bytes
from headstart.locations import cache_root
from headstart.prefix import Prefix
from headstart.store import Store, StoreError, open_store, read_in_blocks
from headstart.workers import map_in_order

_SIDE = formats.THUMBNAIL
_THUMBNAIL_BYTES = _SIDE**2
_BATCH = 4  # images a decoding task takes at once
_RENEW = 2048  # images after which the store is opened anew: what is read of it stays in memory
_FLUSH_RECORDS, _FLUSH_SECONDS = 256, 1.0  # what kill -9 can lose at most
_LARGEST = float(np.finfo(np.float16).max)
STAGE = "features"


@dataclass(frozen=True)
class Features:
    """The kept features of n images.

    `digests` holds each image's SHA-256 (b"" where it could not be read), `thumbnails` uint8
    (n, T, T); `bad` gives the reason for each row without features, `computed` counts those made in
    this call, `unreached` is the rows for which there was no time.
    """

    digests: tuple[bytes, ...]
    thumbnails: npt.NDArray[np.uint8]
    bad: dict[int, str]
    computed: int
    unreached: tuple[int, ...]
    width: int
    _keys: tuple[bytes, ...] = field(repr=False)
    _folder: Path = field(repr=False)
    _unkept: dict[bytes, bytes] = field(repr=False)

    def matrix(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
        """Read the features of `rows` (m,) as float16 (m, features).

        Raises:
            HeadstartError: They were removed from the cache since; running again makes them.
        """
        result = np.empty((len(rows), self.width), np.float16)
        try:
            for position, content in enumerate(self._contents([self._keys[row] for row in rows])):
                if content is None:
                    raise StoreError("removed or damaged meanwhile")
                result[position] = np.frombuffer(content, np.float16, self.width)
        except StoreError as error:
            raise HeadstartError(
                f"Features are missing in '{self._folder}': {error}. Expected what was there a "
                "moment ago. Run the same command again: only the missing are computed."
            ) from error
        return result

    def take(self, rows: npt.NDArray[np.int64]) -> Features:
        """The features of some of the images, in the order of `rows`; all of them have some."""
        return replace(
            self,
            digests=tuple(self.digests[row] for row in rows),
            thumbnails=self.thumbnails[rows],
            bad={},
            unreached=(),
            _keys=tuple(self._keys[row] for row in rows),
        )

    def _contents(self, keys: list[bytes]) -> Iterator[bytes | None]:
        kept = read_in_blocks(self._folder, [key for key in keys if key not in self._unkept])
        for key in keys:
            yield self._unkept[key] if key in self._unkept else next(kept)


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
        HeadstartError: The network cannot be loaded or gives values that are not finite, or
            `resize` is unknown.
    """
    check_resize(resize)
    folder = cache_root() / "features" / prefix.identity.here().key
    run = _Extraction(folder, prefix, resize, paths)
    run.run(deadline)
    return run.features()


def record_key(digest: bytes, resize: str, view: int = 0) -> bytes:
    """The key of one image's features in the store of a prefix."""
    return digest + resize[:1].encode() + view.to_bytes(2, "big")


def to_half(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Round features as they are kept: float16, clipped to what it can hold."""
    return np.clip(vector, -_LARGEST, _LARGEST).astype(np.float16)


@dataclass(frozen=True)
class _Looked:
    """An image as a decoding thread leaves it: kept already, or to be computed from `pixels`."""

    row: int
    digest: bytes
    thumbnail: Pixels
    pixels: Pixels | None = None


@dataclass(frozen=True)
class _Bad:
    row: int
    reason: str


class _Extraction:
    """The state of one `extract`; only `_look` is called from other threads."""

    def __init__(self, folder: Path, prefix: Prefix, resize: str, paths: Sequence[Path]) -> None:
        self.folder, self.prefix, self.resize, self.paths = folder, prefix, resize, paths
        self.size = prefix.width * 2 + _THUMBNAIL_BYTES
        self.store: Store | None = None  # to read from
        self.digests = [b""] * len(paths)
        self.thumbnails = np.zeros((len(paths), _SIDE, _SIDE), np.uint8)
        self.bad: dict[int, str] = {}
        self.begun: set[bytes] = set()  # digests of what was computed here, or is being
        self.unkept: dict[bytes, bytes] = {}
        self.pending: list[tuple[bytes, bytes]] = []
        self.flushed = time.monotonic()
        self.told = False

    def run(self, deadline: float) -> None:
        waiting: deque[_Looked] = deque()
        with progress.stage(STAGE, len(self.paths)) as stage, ExitStack() as stack:
            looked = stack.enter_context(closing(self._looked(deadline)))
            needed = stack.enter_context(closing(self._needed(looked, waiting, stage)))
            first = next(needed, None)
            if first is not None:  # else no engine is needed, and no framework imported
                stream = self.prefix.open().stream(chain([first], needed))
                for vector in stack.enter_context(closing(stream)):
                    one = waiting.popleft()
                    self._keep(one.digest, one.thumbnail, vector)
                    stage.advance()
            self._flush()

    def _looked(self, deadline: float) -> Generator[list[_Looked | _Bad]]:
        for start in range(0, len(self.paths), _RENEW):
            block = range(start, min(start + _RENEW, len(self.paths)))
            tasks = (block[first : first + _BATCH] for first in range(0, len(block), _BATCH))
            with self._reading(), closing(map_in_order(self._look, tasks)) as batches:
                for batch in batches:
                    if time.monotonic() >= deadline:
                        return
                    yield batch

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                self.store = stack.enter_context(open_store(self.folder))
            except StoreError as error:
                self._tell(error)
            yield
            self.store = None

    def _look(self, rows: range) -> list[_Looked | _Bad]:
        return [self._look_at(row, self.paths[row]) for row in rows]

    def _look_at(self, row: int, path: Path) -> _Looked | _Bad:
        try:
            data = read_bytes(path)
            digest = hashlib.sha256(data).digest()
            if self.store is not None:
                (content,) = self.store.get([record_key(digest, self.resize)])
                if content is not None and len(content) == self.size:
                    thumbnail = np.frombuffer(content[-_THUMBNAIL_BYTES:], np.uint8)
                    return _Looked(row, digest, thumbnail.reshape(_SIDE, _SIDE))
            decoded = decode(data, self.prefix.identity.image_size, self.resize)
            return _Looked(row, digest, decoded.thumbnail, decoded.pixels)
        except BadImage as error:
            return _Bad(row, str(error))

    def _needed(
        self,
        looked: Iterator[list[_Looked | _Bad]],
        waiting: deque[_Looked],
        stage: progress.Stage,
    ) -> Generator[Pixels]:
        """Note each image, and give the pixels of those whose features are missing."""
        for one in chain.from_iterable(looked):
            if isinstance(one, _Bad):
                self.bad[one.row] = one.reason
                stage.advance()
                continue
            self.digests[one.row] = one.digest
            self.thumbnails[one.row] = one.thumbnail
            if one.pixels is None or one.digest in self.begun:
                stage.advance()
                continue
            self.begun.add(one.digest)
            waiting.append(one)
            yield one.pixels

    def _keep(self, digest: bytes, thumbnail: Pixels, vector: npt.NDArray[np.float32]) -> None:
        if not np.isfinite(vector).all():
            raise HeadstartError(
                f"The backbone '{self.prefix.identity.backbone}' gave values that are not finite. "
                "Expected numbers for every image. Its weights file may be damaged: load it anew, "
                "or use --precision float32."
            )
        content = to_half(vector).tobytes() + thumbnail.tobytes()
        self.pending.append((record_key(digest, self.resize), content))
        late = time.monotonic() - self.flushed > _FLUSH_SECONDS
        if late or len(self.pending) >= _FLUSH_RECORDS:
            self._flush()

    def _flush(self) -> None:
        self.flushed = time.monotonic()
        if not self.pending:
            return
        try:
            if self.told:
                self.unkept.update(self.pending)
            else:
                with open_store(self.folder) as store:
                    store.put(self.pending)
        except StoreError as error:
            self._tell(error)
            self.unkept.update(self.pending)
        self.pending = []

    def _tell(self, error: StoreError) -> None:
        """Say once that nothing more is kept."""
        if not self.told:
            progress.remark(STAGE, f"features are not kept, only used in this run: {error}")
        self.told = True

    def features(self) -> Features:
        rows = range(len(self.digests))
        return Features(
            digests=tuple(self.digests),
            thumbnails=self.thumbnails,
            bad=self.bad,
            computed=len(self.begun),
            unreached=tuple(row for row in rows if not self.digests[row] and row not in self.bad),
            width=self.prefix.width,
            _keys=tuple(record_key(digest, self.resize) for digest in self.digests),
            _folder=self.folder,
            _unkept=self.unkept,
        )
