"""A worker whose work is made up: it does what the job's options say."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from headstart import progress
from headstart.errors import HeadstartError
from headstart.studio import worker


def work(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Go through two stages; `how` says how it ends."""
    how = request["how"]
    with progress.stage("first", 2) as stage:
        stage.advance(2)
    for number in (1, 2, 1):
        progress.tell_figures("second", {"epoch": number, "train_loss": 1 / number})
    progress.remark("second", "a remark")
    if how == "fail":
        raise HeadstartError("Too little. Expected more. Add some.")
    if how == "defect":
        raise RuntimeError("broken")
    if how == "die":
        os._exit(9)
    try:
        with progress.stage("second"):
            until = time.monotonic() + (0 if how == "end" else 60)
            while time.monotonic() < until or (folder / "wait").exists():
                time.sleep(0.02)
    except KeyboardInterrupt:
        if how == "keep":
            return {"state": "cancelled", "model": "7"}
        if how == "deaf":
            time.sleep(60)
        raise
    return {"model": "7"}


if __name__ == "__main__":
    worker._works = lambda: dict.fromkeys(("train", "checkup", "export"), work)
    sys.exit(worker.run(Path(sys.argv[1])))
