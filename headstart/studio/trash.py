"""Changes to files that can be undone: every one is a list of renames, written down before it.

    .headstart/trash/ID/journal.json   {"about", "moves": [[from, to], …]}, paths below the project
    .headstart/trash/ID/files/…        what was deleted, under the path that it had

Nothing is ever removed from the disk, so nothing is lost where the process is killed half way, and
a deletion can be undone after a restart. Who needs the room deletes the folder.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from headstart import atomic
from headstart.errors import HeadstartError
from headstart.scan import OWN_FOLDER
from headstart.studio.index import NotThere
from headstart.studio.names import free_name
from headstart.studio.place import Place

_MOST_STEPS = 20
Values = dict[str, Any]
_ID = re.compile(r"[0-9]{14}-[0-9]{9}-[0-9a-f]{6}")


class Move(NamedTuple):
    """A rename, of paths below the project's folder; a file or a whole folder."""

    before: str
    after: str


class Undone(NamedTuple):
    """How many renames were undone, and how many could not be: the files are elsewhere by now."""

    done: int
    missing: int


class Trash:
    """The steps of one project that can be undone."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def delete(self, paths: Sequence[str], about: Values) -> str:
        """Put files or folders aside; the id by which that is undone.

        Args:
            paths: Below the project's folder.
            about: What the step is, as JSON values, for `steps`.
        """
        key = _new_id()
        inside = os.path.join(OWN_FOLDER, "trash", key, "files")
        return self._perform(key, [Move(one, os.path.join(inside, one)) for one in paths], about)

    def rename(self, moves: Sequence[Move], about: Values) -> str:
        """Rename files or folders, as `delete`."""
        return self._perform(_new_id(), moves, about)

    def steps(self) -> list[Values]:
        """The last steps that can be undone, the newest first: `undo`, and what `about` said."""
        found: list[Values] = []
        keys = os.listdir(self.place.trash) if self.place.trash.is_dir() else []
        for key in sorted(keys, reverse=True):
            if len(found) == _MOST_STEPS:
                break
            try:
                found.append({"undo": key, **self._journal(key)["about"]})
            except (OSError, ValueError, LookupError, TypeError):
                continue
        return found

    def _journal(self, key: str) -> Values:
        return dict(json.loads((self.place.trash / key / "journal.json").read_text()))

    def _perform(self, key: str, moves: Sequence[Move], about: Values) -> str:
        folder = self.place.trash / key
        try:
            folder.mkdir(parents=True)
            text = json.dumps(
                {"about": about, "moves": moves}, indent=1
            )  # surrogates become escapes
            atomic.write_file(folder / "journal.json", text)
            for move in moves:
                self._rename(move.before, move.after)
        except OSError as error:
            raise HeadstartError(
                f"A file cannot be moved: {error.strerror or error}. Expected a folder that may be "
                "changed. What was moved before it can be undone; check the folder's permissions."
            ) from error
        return key

    def _rename(self, before: str, after: str) -> None:
        target = self.place.root / after
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target) and not os.path.samefile(self.place.root / before, target):
            raise FileExistsError(17, "there is another file of that name", str(target))
        os.rename(self.place.root / before, target)

    def undo(self, key: str) -> Undone:
        """Take a step back; a file whose name is taken by now gets another one.

        Raises:
            NotThere: There is no such step, or it is undone already.
        """
        folder = self.place.trash / key
        if not _ID.fullmatch(key) or not (folder / "journal.json").is_file():
            raise NotThere(
                "There is nothing to undo. Expected a step that was not undone before. Load the "
                "page again."
            )
        moves = [Move(*one) for one in self._journal(key)["moves"]]
        root = self.place.root
        found = [put_back(root / one.after, root / one.before) for one in reversed(moves)]
        os.replace(folder / "journal.json", folder / "undone.json")
        _remove_empty(folder / "files")
        return Undone(sum(found), len(found) - sum(found))


def _new_id() -> str:
    """In the order of time, also within a second."""
    now = time.time_ns()
    second = time.strftime("%Y%m%d%H%M%S", time.localtime(now // 10**9))
    return f"{second}-{now % 10**9:09}-{secrets.token_hex(3)}"


def put_back(source: Path, target: Path) -> bool:
    """Rename, but into a folder that stands there, and past a file that does; False: it is gone."""
    if not os.path.lexists(source):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and target.is_dir():
        for inner in sorted(os.listdir(source)):
            put_back(source / inner, target / inner)
        with suppress(OSError):
            source.rmdir()
        return True
    taken = {one.casefold() for one in os.listdir(target.parent)}
    os.rename(source, target.with_name(free_name(target.name, taken)))
    return True


def _remove_empty(folder: Path) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # it holds something
            os.rmdir(path)
