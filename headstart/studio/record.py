"""What is known of one job, by what its process has written into the job's folder.

request.json   {"kind", "made" (seconds since 1970), …} as it was started
process.json   {"process"}: the number of its process
lock           held by the process while it lives
events.jsonl   a line for each event of `headstart.progress`
result.json    {"state", "model", "file", "error"}, written at its very end
cancelled      there once somebody has asked to cancel it
log.txt        what it printed
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headstart.studio.claim import is_held

KINDS = ("train", "checkup", "export")
ACTIVE = "running"
_STARTS = 20.0  # seconds that a process has to lock its file
_LOST = {
    "cancelled": None,
    "interrupted": "It ended before it was done: the computer was switched off, it was short of "
    "memory, or somebody ended it. Start it again: what was computed is kept.",
}


@dataclass
class Stage:
    """One stage as it stands."""

    name: str
    done: int = 0
    total: int = 0
    finished: bool = False


@dataclass
class Record:
    """One job; `read` brings it up to what its folder says."""

    folder: Path
    request: dict[str, Any]
    state: str = ACTIVE
    stages: dict[str, Stage] = field(default_factory=dict)
    current: str = ""
    left: float | None = None
    curve: list[dict[str, float]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    ended: float = 0.0
    gone: bool = False  # whether its process is known to have ended
    _read: int = 0  # bytes of the events

    @property
    def id(self) -> str:
        """Its name, and that of its folder."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return str(self.request["kind"])

    @property
    def cancelling(self) -> bool:
        """Whether somebody has asked to cancel it."""
        return (self.folder / "cancelled").exists()

    def is_alive(self) -> bool:
        """Whether its process runs, or has hardly been started."""
        if is_held(self.folder / "lock"):
            return True
        if self.gone:
            return False
        started = (self.folder / "process.json").exists()
        return not started and time.time() - self.request["made"] < _STARTS

    def read(self) -> bool:
        """Take in what is new; tell whether anything was."""
        if self.state != ACTIVE:
            return False
        alive = self.is_alive()
        news = self._read_events()
        if not alive:
            self._read_result()
        return news or not alive

    def _read_events(self) -> bool:
        try:
            with (self.folder / "events.jsonl").open("rb") as file:
                file.seek(self._read)
                found = file.read()
        except FileNotFoundError:
            return False
        whole = found[: found.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))
        return bool(whole)

    def _take(self, event: dict[str, Any]) -> None:
        if event.get("figures") is not None:
            attempts = sum(one["epoch"] == 1 for one in self.curve)
            figures = event["figures"]
            attempt = attempts + 1 if figures["epoch"] == 1 else max(1, attempts)
            self.curve.append({**figures, "attempt": attempt})
        elif event["message"]:
            self.remarks.append(f"{event['stage']}: {event['message']}")
        else:
            stage = self.stages.setdefault(event["stage"], Stage(event["stage"]))
            stage.done, stage.total = event["done"], event["total"]
            stage.finished = event["finished"]
            self.current, self.left = stage.name, event["seconds_left"]

    def _read_result(self) -> None:
        try:
            self.result = json.loads((self.folder / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            state = "cancelled" if self.cancelling else "interrupted"
            self.result = {"state": state, "error": _LOST[state]}
        self.state = str(self.result["state"])
        self.left = None
        self.ended = float(self.result.get("ended") or time.time())

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, for the page."""
        stage = self.stages.get(self.current, Stage(""))
        end = self.ended if self.state != ACTIVE else time.time()
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "cancelling": self.state == ACTIVE and self.cancelling,
            "stage": stage.name,
            "done": stage.done,
            "total": stage.total,
            "seconds_left": self.left,
            "seconds": max(0.0, end - self.request["made"]),
            "stages": [vars(one) for one in self.stages.values()],
            "curve": self.curve,
            "remarks": self.remarks[-20:],
            "error": self.result.get("error"),
            "model": self.result.get("model"),
            "file": self.result.get("file"),
            "options": self.request.get("options", {}),
            "time": self.request.get("time"),
            "planned": self.request.get("planned"),
            "made": self.request["made"],
            "export": self._export(),
        }

    def _export(self) -> dict[str, Any] | None:
        """What is exported: the model, the format, and whether with 8-bit weights."""
        if self.kind != "export":
            return None
        return {name: self.request.get(name) for name in ("model", "to", "int8")}


def read_record(folder: Path) -> Record | None:
    """The job in a folder; None where there is none."""
    try:
        request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        if request["kind"] not in KINDS:
            return None
        found = Record(folder, request)
        found.read()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found
