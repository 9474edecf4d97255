"""A folder looked at again and again: the images that arrive in it are answered as they do.

It is looked at by its listing, which works on every system and for folders on a network. A file is
taken once its size and time have stayed the same between two looks. One that then cannot be read
may still be on its way: it is tried again until it has not changed for some seconds, and only then
refused. A file that changes later is answered anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from headstart.answers import Unreadable
from headstart.batch.columns import Answer
from headstart.batch.table import Classify
from headstart.errors import HeadstartError
from headstart.listing import may_be_image, walk
from headstart.scan import printable

_STEP = 0.1  # seconds after which a wish to stop is heard


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    `look`: between two looks at the folder, at least. `still`: how long a file that cannot be read
    must not have changed.
    """

    look: float = 0.5
    still: float = 5.0


@dataclass
class _State:
    """What is known of one file: `signature` of its content, since when, and whether it is done."""

    signature: tuple[int, int]
    since: float
    done: bool = False


@dataclass
class Watcher:
    """The files of a folder.

    Attributes:
        folder: It.
        skip: Whether a file that is there at the first look is left out, by its path.
    """

    folder: Path
    skip: Callable[[str], bool] = lambda path: False
    _known: dict[str, _State] = field(default_factory=dict)
    _looked: bool = False

    def look(self) -> list[str]:
        """The files that have come to rest since the last look, in the order of their names."""
        now, seen, ready = time.monotonic(), {}, []
        for path in walk(os.fspath(self.folder)):
            signature = _signature(path)
            if signature is None or os.path.basename(path).startswith("."):
                continue
            state = self._known.get(path)
            if state is None or state.signature != signature:
                done = not self._looked and self.skip(path)
                state = _State(signature, now, done)
            elif not state.done:
                state.done = True
                if may_be_image(path):
                    ready.append(path)
            seen[path] = state
        self._known, self._looked = seen, True
        return ready

    def may_come(self, path: str, still: float) -> bool:
        """Whether a file that cannot be read changed so lately that it is worth another try."""
        state = self._known[path]
        state.done = time.monotonic() - state.since >= still
        return not state.done


def watch_folder(
    classify: Classify,
    watcher: Watcher,
    asked: Callable[[], bool],
    patience: Patience | None = None,
) -> Iterator[Answer]:
    """Answer the images in a folder and all that arrive, until `asked` says to stop.

    Raises:
        HeadstartError: The folder is not there, or has gone.
    """
    patience = patience or Patience()
    while not asked():
        start = time.monotonic()
        try:
            ready = watcher.look()
        except OSError as error:
            raise HeadstartError(
                f"The folder '{printable(str(watcher.folder))}' cannot be watched: "
                f"{error.strerror}. Expected a folder that can be read. Check the path."
            ) from error
        for answer in classify(ready):
            refused = isinstance(answer, Unreadable)
            if not (refused and watcher.may_come(answer.source, patience.still)):
                yield answer
            if asked():
                return
        # A large folder is not looked at without a pause.
        _sleep(max(patience.look, 4 * (time.monotonic() - start) if not ready else 0), asked)


def _sleep(seconds: float, asked: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not asked() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _STEP))


def _signature(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:  # it has gone
        return None
    return status.st_size, status.st_mtime_ns
