"""Long work in processes of its own, which neither the page nor the server has to wait for.

A process is started in a session of its own, so it outlives the server; a server that starts finds
what runs, and what has ended, by the folders of the jobs. One job of a kind runs at a time.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from headstart import atomic
from headstart.studio.index import NotThere
from headstart.studio.place import Place
from headstart.studio.project import Conflict
from headstart.studio.record import ACTIVE, Record, read_record

_STEP = 0.15  # seconds between two looks at what a job has written
GRACE = 120.0  # seconds that a cancelled job has to keep what it has
_MOST_KEPT = 30  # jobs whose folders are read at the start
WORKER = ("-P", "-m", "headstart.studio.worker")  # what Python is told to run
_LEFT: list[subprocess.Popen[bytes]] = []  # that went on when their studio was closed
WORDS = {"train": "A training", "checkup": "A check-up", "export": "An export"}


class Jobs:
    """The jobs of one project.

    Args:
        place: Its folders.
        tell: Called with a job whenever something of it is new.
    """

    def __init__(self, place: Place, tell: Callable[[Record], None]) -> None:
        self.place, self._tell = place, tell
        self._records: dict[str, Record] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock, self._ended = threading.RLock(), threading.Event()
        for folder in sorted(place.jobs.iterdir())[-_MOST_KEPT:]:
            record = read_record(folder)
            if record is not None:
                self._records[record.id] = record
        self._follower = threading.Thread(target=self._follow, name="following", daemon=True)
        self._follower.start()

    def close(self) -> None:
        """Follow no longer; what runs goes on."""
        self._ended.set()
        self._follower.join()
        for key, process in self._processes.items():
            if self._records[key].state == ACTIVE:
                _LEFT.append(process)
            else:
                process.wait()

    def start(self, kind: str, request: dict[str, Any]) -> Record:
        """Start a job.

        Raises:
            Conflict: One of its kind is running.
        """
        with self._lock:
            if self.running(kind) is not None:
                raise Conflict(
                    f"{WORDS[kind]} is running already. Expected one at a time. Wait for its end, "
                    "or cancel it."
                )
            name = f"{time.strftime('%Y%m%d%H%M%S')}-{secrets.token_hex(3)}"
            folder = self.place.jobs / name
            folder.mkdir(parents=True)
            about = {**request, "kind": kind, "made": time.time(), "root": str(self.place.root)}
            atomic.write_file(folder / "request.json", json.dumps(about, indent=1))
            record = Record(folder, about)
            self._processes[name] = _start(record)
            self._records[name] = record
        self._tell(record)
        return record

    def running(self, kind: str) -> Record | None:
        """The job of a kind that is running, if there is one."""
        with self._lock:
            found = self._records.values()
            return next((one for one in found if (one.kind, one.state) == (kind, ACTIVE)), None)

    def all_running(self) -> list[Record]:
        """All that is running."""
        with self._lock:
            return [one for one in self._records.values() if one.state == ACTIVE]

    def newest(self, kind: str) -> Record | None:
        """The job of a kind that was started last."""
        return next(reversed(self.all_of(kind)), None)

    def all_of(self, kind: str) -> list[Record]:
        """The jobs of a kind, the oldest first."""
        with self._lock:
            found = [one for one in self._records.values() if one.kind == kind]
        return sorted(found, key=lambda one: float(one.request["made"]))

    def get(self, key: str) -> Record:
        """A job by its id, or NotThere."""
        with self._lock:
            if key not in self._records:
                raise NotThere("There is no such job. Expected one that was started here.")
            return self._records[key]

    def cancel(self, key: str) -> Record:
        """Ask a job to end with what it has; the second time, end it.

        Raises:
            NotThere: There is no such job, or it has ended.
        """
        record = self.get(key)
        if record.state != ACTIVE:
            raise NotThere("This job has ended. Expected one that is running.")
        again = record.cancelling
        (record.folder / "cancelled").touch()
        _signal(record, signal.SIGTERM if again else signal.SIGINT, whole=again)
        self._tell(record)
        return record

    def _follow(self) -> None:
        while not self._ended.wait(_STEP):
            for record in self.all_running():
                # A full disk may cut a line short, or be away: the others are still followed.
                with suppress(OSError, ValueError, LookupError, TypeError):
                    self._look(record)

    def _look(self, record: Record) -> None:
        self._reap(record)
        if record.read():
            self._tell(record)
        elif record.cancelling:
            _press(record)

    def _reap(self, record: Record) -> None:
        """Take the end of a process of ours; it would stay in the system's list."""
        process = self._processes.get(record.id)
        if process is not None and process.poll() is not None:
            del self._processes[record.id]
            record.gone = True


def _start(record: Record) -> subprocess.Popen[bytes]:
    command = [sys.executable, *WORKER, str(record.folder)]
    with (record.folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=record.folder,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


def _press(record: Record) -> None:
    """End a job that was cancelled and does not end."""
    with suppress(OSError):
        since = time.time() - (record.folder / "cancelled").stat().st_mtime
        if since > GRACE:
            last = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has but one end
            _signal(record, signal.SIGTERM if since < GRACE + 5 else last, whole=True)


def _signal(record: Record, number: signal.Signals, *, whole: bool) -> None:
    """Send a signal to the process of a job, or to it and all that it has started."""
    with suppress(OSError, ValueError, KeyError):
        text = (record.folder / "process.json").read_text(encoding="utf-8")
        if record.is_alive():
            to = os.killpg if whole and sys.platform != "win32" else os.kill
            to(int(json.loads(text)["process"]), number)
