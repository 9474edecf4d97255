"""What a run has chosen, kept until it is done: after kill -9 the same command chooses the same.

Otherwise it might choose another network in the time that kept features save, and all that was
trained by then would be lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.locations import cache_root
from headstart.notes import read_note, write_note
from headstart.recipe import Recipe

_FORMAT = 1  # raise it when the same run would choose otherwise


@dataclass(frozen=True)
class Memory:
    """The place of one choice; what cannot be read or written is not remembered."""

    path: Path

    def read(self) -> dict[str, Any] | None:
        """The details of the choice, or None."""
        found = read_note(self.path)
        return found if "best" in found else None

    def write(self, details: dict[str, Any]) -> None:
        """Remember a choice."""
        write_note(self.path, details)

    def remove(self) -> None:
        """Forget it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def memory_of(recipe: Recipe, seconds: float, digests: Sequence[bytes]) -> Memory:
    """Where the choice of a run is.

    Args:
        recipe: The choices that were made before.
        seconds: That it is planned for.
        digests: SHA-256 of the training images, in their order.
    """
    said = [_FORMAT, recipe.to_dict(), round(min(seconds, 1e9))]
    total = hashlib.sha256(json.dumps(said, sort_keys=True).encode() + b"".join(digests))
    return Memory(cache_root() / "runs" / f"{total.hexdigest()[:32]}.json")
