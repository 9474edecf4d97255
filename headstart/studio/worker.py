"""The process of one job: `python -m headstart.studio.worker FOLDER`, the job's folder.

It does what the command line does, by the same functions, and writes down how far it is. It runs a
little behind other programs, so that the page stays quick.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart import atomic, progress
from headstart.errors import HeadstartError
from headstart.studio.claim import hold

_NICE = 5
Work = Callable[[dict[str, Any], Path], dict[str, Any]]


class _Writer:
    """Writes each event as a line, in one piece."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o600)
        self._lock = threading.Lock()

    def hear(self, event: progress.Event) -> None:
        line = json.dumps({**asdict(event), "time": time.time()}) + "\n"
        with self._lock:
            os.write(self._descriptor, line.encode())

    def close(self) -> None:
        os.close(self._descriptor)


def _works() -> dict[str, Work]:
    from headstart.studio import works

    return {"train": works.train, "checkup": works.look_over, "export": works.export_model}


def run(folder: Path) -> int:
    """Do the work of a job, and write down what came of it; the exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it was passed over
    held = hold(folder / "lock")
    atomic.write_file(folder / "process.json", json.dumps({"process": os.getpid()}))
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(_NICE)
    writer = _Writer(folder / "events.jsonl")
    try:
        result = _result(folder, writer)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        text = json.dumps({**result, "ended": time.time()}, indent=1)
        atomic.write_file(folder / "result.json", text)
    finally:
        writer.close()
        os.close(held)
    return 0 if result["state"] == "done" else 1


def _result(folder: Path, writer: _Writer) -> dict[str, Any]:
    try:
        request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        with progress.listen(writer.hear):
            if (folder / "cancelled").exists():
                raise KeyboardInterrupt
            return {"state": "done", **_works()[request["kind"]](request, folder)}
    except HeadstartError as error:
        return {"state": "failed", "error": str(error)}
    except KeyboardInterrupt:
        return {"state": "cancelled", "error": None}
    except MemoryError:
        text = "Not enough memory. Expected a few hundred MB free. Close programs."
        return {"state": "failed", "error": text}
    except Exception as error:
        traceback.print_exc()
        return {"state": "failed", "error": _defect(error)}


def _defect(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return (
        f"{type(error).__name__}: {error} ({where}). This is a defect of headstart. Report it, "
        "with the log.txt of the job."
    )


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
