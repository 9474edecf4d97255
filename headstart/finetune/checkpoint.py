"""Where a fine-tuning stands, on disk after each epoch, so that the same command goes on from it.

One safetensors file for each stage in `runs/<key of the run>` of the cache, written aside and
renamed. The key stands for the images, their labels and the split, the recipe and the versions: a
run that differs in anything begins anew. The folder goes when the run has ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from headstart import atomic, progress

Arrays = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Saved:
    """What stands in a checkpoint: JSON values, the learner's state, and the best weights."""

    record: dict[str, Any]
    state: list[npt.NDArray[Any]]
    best: dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Checkpoint:
    """A place for the state of one stage; None keeps nothing."""

    path: Path | None

    def write(
        self, record: Mapping[str, Any], state: Sequence[npt.NDArray[Any]], best: Arrays
    ) -> None:
        """Replace what stands there; where that cannot be done it is told and training goes on."""
        if self.path is None:
            return
        arrays = {f"state/{number:05}": one for number, one in enumerate(state)}
        arrays |= {f"best/{name}": one for name, one in best.items()}
        arrays = {name: np.asarray(one, order="C") for name, one in arrays.items()}
        text = json.dumps(record)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_file(
                self.path, save(arrays, {"record": text, "digest": _digest(text, arrays)})
            )
        except OSError as error:
            progress.remark("fine-tune", f"this epoch cannot be kept to go on from: {error}")

    def read(self) -> Saved | None:
        """What stands there, or None where nothing does or it cannot be read."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "numpy") as file:
                said = file.metadata()
                arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
            if said["digest"] != _digest(said["record"], arrays):
                raise ValueError("damaged")
            record = json.loads(said["record"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None
        state = [one for name, one in arrays.items() if name.startswith("state/")]
        names = [name for name in arrays if name.startswith("best/")]
        return Saved(record, state, {name.removeprefix("best/"): arrays[name] for name in names})

    def remove(self) -> None:
        """Take it away."""
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()


def _digest(record: str, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 of all that a checkpoint holds; safetensors has no checksum of its own."""
    total = hashlib.sha256(record.encode())
    for name in sorted(arrays):
        total.update(f"{name} {arrays[name].shape} {arrays[name].dtype}".encode())
        total.update(arrays[name].tobytes())
    return total.hexdigest()
