"""Notes in the cache: what was found out once, as small JSON files.

A note that cannot be read is none. Where none can be written, it is found out again the next time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headstart import atomic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Facts = TypeVar("Facts", bound=DataclassInstance)


def read_note(path: Path) -> dict[str, Any]:
    """What a note says; nothing where there is none."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def write_note(path: Path, values: Mapping[str, Any]) -> None:
    """Write a note, the folder too."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_file(path, json.dumps(values, indent=2))


def noted(path: Path, kind: type[Facts], number: int, find: Callable[[], Facts]) -> Facts:
    """The facts that a note holds, or those that `find` gives, which are then noted.

    Args:
        path: The note.
        kind: A dataclass of JSON values with a field `format`.
        number: The format that is understood; notes of another one are none.
        find: Finds the facts.
    """
    values = read_note(path)
    if values.get("format") == number:
        with suppress(TypeError):  # other names than the dataclass has
            return kind(**values)
    facts = find()
    write_note(path, asdict(facts))
    return facts
