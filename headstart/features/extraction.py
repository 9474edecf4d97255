"""Features of many images, made once and kept: images in, `Features` out.

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
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart import formats, progress
from headstart.augment import make_views
from headstart.engine import to_half
from headstart.errors import HeadstartError
from headstart.features.kept import PLAIN, Features, Views
from headstart.images import BadImage, Pixels, check_resize, decode, read_bytes
from headstart.locations import cache_root
from headstart.prefix import Prefix
from headstart.store import Store, StoreError, open_store
from headstart.workers import map_in_order

_SIDE = formats.THUMBNAIL
_THUMBNAIL_BYTES = _SIDE**2
_BATCH = 4  # images a decoding task takes at once
_RENEW = 2048  # images after which the store is opened anew: what is read of it stays in memory
_FLUSH_RECORDS, _FLUSH_BYTES, _FLUSH_SECONDS = 256, 16e6, 1.0  # what kill -9 can lose at most
STAGE = "features"
Source = Path | bytes


def extract(
    images: Sequence[Source],
    prefix: Prefix,
    *,
    resize: str = "squash",
    deadline: float = math.inf,
    views: Views = PLAIN,
    asked: Callable[[], bool] = lambda: False,
) -> Features:
    """Make the features of `images` that are not kept yet, and keep them.

    Args:
        images: Paths, or the bytes of image files.
        prefix: The network.
        resize: `squash`, `crop` or `pad`.
        deadline: `time.monotonic()` at which to stop; what was made until then stays kept.
        views: Which views of each image; by default the image itself.
        asked: Whether somebody wants it to stop, as at the deadline.

    Raises:
        HeadstartError: The network cannot be loaded or gives values that are not finite, or
            `resize` is unknown.
    """
    check_resize(resize)
    folder = cache_root() / "features" / prefix.identity.here().key
    run = _Extraction(folder, prefix, (resize, views), images)
    run.run(lambda: time.monotonic() >= deadline or asked())
    return run.features()


@dataclass(frozen=True)
class _Looked:
    """An image as a decoding thread leaves it, with the key and pixels of each view it misses."""

    row: int
    digest: bytes
    thumbnail: Pixels
    missing: tuple[tuple[bytes, Pixels], ...] = ()


@dataclass(frozen=True)
class _Waiting:
    """A view that the engine is at work on; `last` of its image."""

    key: bytes
    thumbnail: Pixels
    last: bool


@dataclass(frozen=True)
class _Bad:
    row: int
    reason: str


class _Extraction:
    """The state of one `extract`; only `_look` is called from other threads."""

    def __init__(
        self, folder: Path, prefix: Prefix, how: tuple[str, Views], images: Sequence[Source]
    ) -> None:
        self.folder, self.prefix, self.images = folder, prefix, images
        self.resize, self.views = how
        self.size = prefix.width * 2 + _THUMBNAIL_BYTES
        self.flush_records = min(_FLUSH_RECORDS, 1 + int(_FLUSH_BYTES / self.size))
        self.store: Store | None = None  # to read from
        self.digests = [b""] * len(images)
        self.thumbnails = np.zeros((len(images), _SIDE, _SIDE), np.uint8)
        self.bad: dict[int, str] = {}
        self.begun: set[bytes] = set()  # digests of what was computed here, or is being
        self.unkept: dict[bytes, bytes] = {}
        self.pending: list[tuple[bytes, bytes]] = []
        self.flushed = time.monotonic()
        self.told = False

    def run(self, ends: Callable[[], bool]) -> None:
        waiting: deque[_Waiting] = deque()
        with progress.stage(STAGE, len(self.images)) as stage, ExitStack() as stack:
            looked = stack.enter_context(closing(self._looked(ends)))
            needed = stack.enter_context(closing(self._needed(looked, waiting, stage)))
            first = next(needed, None)
            if first is not None:  # else no engine is needed, and no framework imported
                stream = self.prefix.open().stream(chain([first], needed))
                for vector in stack.enter_context(closing(stream)):
                    one = waiting.popleft()
                    self._keep(one, vector)
                    stage.advance(int(one.last))
            self._flush()

    def _looked(self, ends: Callable[[], bool]) -> Generator[list[_Looked | _Bad]]:
        for start in range(0, len(self.images), _RENEW):
            block = range(start, min(start + _RENEW, len(self.images)))
            tasks = (block[first : first + _BATCH] for first in range(0, len(block), _BATCH))
            with self._reading(), closing(map_in_order(self._look, tasks)) as batches:
                for batch in batches:
                    if ends():
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
        return [self._look_at(row, self.images[row]) for row in rows]

    def _look_at(self, row: int, image: Source) -> _Looked | _Bad:
        try:
            data = image if isinstance(image, bytes) else read_bytes(image)
            digest = hashlib.sha256(data).digest()
            keys = self.views.keys(digest, self.resize)
            kept = self.store.get(keys) if self.store is not None else [None] * len(keys)
            missing = [
                view
                for view, content in enumerate(kept)
                if content is None or len(content) != self.size
            ]
            if 0 not in missing:
                assert kept[0] is not None
                grey = np.frombuffer(kept[0][-_THUMBNAIL_BYTES:], np.uint8).reshape(_SIDE, _SIDE)
                pixels = self._views(data, missing)
            else:
                decoded = decode(data, self.prefix.identity.image_size, self.resize)
                grey, pixels = decoded.thumbnail, [decoded.pixels, *self._views(data, missing[1:])]
            named = zip([keys[view] for view in missing], pixels, strict=True)
            return _Looked(row, digest, grey, tuple(named))
        except BadImage as error:
            return _Bad(row, str(error))

    def _views(self, data: bytes, views: Sequence[int]) -> list[Pixels]:
        if not views:
            return []
        size = self.prefix.identity.image_size
        return make_views(data, size, self.resize, self.views.augmentation, views)

    def _needed(
        self,
        looked: Iterator[list[_Looked | _Bad]],
        waiting: deque[_Waiting],
        stage: progress.Stage,
    ) -> Generator[Pixels]:
        """Note each image, and give the pixels of those views whose features are missing."""
        for one in chain.from_iterable(looked):
            if isinstance(one, _Bad):
                self.bad[one.row] = one.reason
                stage.advance()
                continue
            self.digests[one.row] = one.digest
            self.thumbnails[one.row] = one.thumbnail
            if not one.missing or one.digest in self.begun:
                stage.advance()
                continue
            self.begun.add(one.digest)
            for number, (key, pixels) in enumerate(one.missing, start=1):
                waiting.append(_Waiting(key, one.thumbnail, number == len(one.missing)))
                yield pixels

    def _keep(self, one: _Waiting, vector: npt.NDArray[np.float32]) -> None:
        if not np.isfinite(vector).all():
            raise HeadstartError(
                f"The backbone '{self.prefix.identity.backbone}' gave values that are not finite. "
                "Expected numbers for every image. Its weights file may be damaged: load it anew, "
                "or use --precision float32."
            )
        self.pending.append((one.key, to_half(vector).tobytes() + one.thumbnail.tobytes()))
        late = time.monotonic() - self.flushed > _FLUSH_SECONDS
        if late or len(self.pending) >= self.flush_records:
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
            views=self.views,
            resize=self.resize,
            _folder=self.folder,
            _unkept=self.unkept,
        )
