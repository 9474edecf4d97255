"""The kept features of a set of images, read as they are needed: rows in, float16 out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart.augment import Augmentation
from headstart.errors import HeadstartError
from headstart.store import StoreError, read_in_blocks

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Views:
    """Which views of each image have features: the image itself, and `count` random ones."""

    augmentation: Augmentation
    count: int

    @property
    def indices(self) -> range:
        """Their numbers; 0 is the image itself."""
        return range(self.count + 1)

    def keys(self, digest: bytes, resize: str) -> list[bytes]:
        """The key of each view's record."""
        return [
            record_key(digest, resize, self.augmentation.view_key(view)) for view in self.indices
        ]


PLAIN = Views(Augmentation("none"), 0)


def record_key(digest: bytes, resize: str, view: bytes) -> bytes:
    """The key of one view's features in the store of a prefix."""
    return digest + resize[:1].encode() + view


@dataclass(frozen=True)
class Features:
    """The kept features of n images.

    `digests` holds each image's SHA-256 (b"" where it could not be read), `thumbnails` uint8
    (n, T, T); `bad` gives the reason for each row without features, `computed` counts the images of
    which some were made in this call, `unreached` is the rows for which there was no time; `views`
    says which views there are.
    """

    digests: tuple[bytes, ...]
    thumbnails: npt.NDArray[np.uint8]
    bad: dict[int, str]
    computed: int
    unreached: tuple[int, ...]
    width: int
    views: Views
    resize: str
    _folder: Path = field(repr=False)
    _unkept: dict[bytes, bytes] = field(repr=False)

    @property
    def key(self) -> str:
        """By what network and how they were made; with the digests it tells every value."""
        return f"{self._folder.name}-{self.resize}"

    def matrix(self, rows: Rows, views: Rows | None = None) -> npt.NDArray[np.float16]:
        """Read features as float16 (m, width).

        Args:
            rows: (m,) which images.
            views: (m,) which view of each; the image itself where it is left out.

        Raises:
            HeadstartError: They were removed from the cache since; running again makes them.
        """
        result = np.empty((len(rows), self.width), np.float16)
        keys = self._keys(rows, views if views is not None else np.zeros_like(rows))
        try:
            for position, content in enumerate(self._contents(keys)):
                if content is None:
                    raise StoreError("removed or damaged meanwhile")
                result[position] = np.frombuffer(content, np.float16, self.width)
        except StoreError as error:
            raise HeadstartError(
                f"Features are missing in '{self._folder}': {error}. Expected what was there a "
                "moment ago. Run the same command again: only the missing are computed."
            ) from error
        return result

    def take(self, rows: Rows) -> Features:
        """The features of some of the images, in the order of `rows`; all of them have some."""
        return replace(
            self,
            digests=tuple(self.digests[row] for row in rows),
            thumbnails=self.thumbnails[rows],
            bad={},
            unreached=(),
        )

    def _keys(self, rows: Rows, views: Rows) -> list[bytes]:
        named = [self.views.augmentation.view_key(view) for view in self.views.indices]
        pairs = zip(rows, views, strict=True)
        return [record_key(self.digests[row], self.resize, named[view]) for row, view in pairs]

    def _contents(self, keys: Sequence[bytes]) -> Iterator[bytes | None]:
        kept = read_in_blocks(self._folder, [key for key in keys if key not in self._unkept])
        for key in keys:
            yield self._unkept[key] if key in self._unkept else next(kept)
