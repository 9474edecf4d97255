"""Where a fine-tuning stands, on disk after each epoch, so that the same command goes on from it.

One safetensors file for each stage in `runs/<key of the run>` of the cache, written aside and
renamed. The key stands for the images, their labels and the split, the recipe and the versions: a
run that differs in anything begins anew. The folder goes when the run has ended.
"""

from __future__ import annotations

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
        arrays = {f"state/{number:05}": np.asarray(one) for number, one in enumerate(state)}
        arrays |= {f"best/{name}": np.asarray(one) for name, one in best.items()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_file(self.path, save(arrays, {"record": json.dumps(record)}))
        except OSError as error:
            progress.remark("fine-tune", f"this epoch cannot be kept to go on from: {error}")

    def read(self) -> Saved | None:
        """What stands there, or None where nothing does or it cannot be read."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "numpy") as file:
                record = json.loads(file.metadata()["record"])
                names = sorted(file.keys())
                state = [file.get_tensor(name) for name in names if name.startswith("state/")]
                best = {
                    name.removeprefix("best/"): file.get_tensor(name)
                    for name in names
                    if name.startswith("best/")
                }
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None
        return Saved(record, state, best)

    def remove(self) -> None:
        """Take it away."""
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()
