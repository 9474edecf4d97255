"""All that one running studio holds; made once, used by every route."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from headstart.dataset import read_dataset
from headstart.errors import HeadstartError
from headstart.scan import display
from headstart.studio.answering import Answering
from headstart.studio.choices import check_export, planned_seconds, recipe_of
from headstart.studio.claim import try_to_hold
from headstart.studio.events import Events
from headstart.studio.findings import Findings
from headstart.studio.index import Image, listed
from headstart.studio.jobs import Jobs
from headstart.studio.models import Models
from headstart.studio.place import open_place
from headstart.studio.project import Project
from headstart.studio.record import Record
from headstart.studio.shipping import finished_exports
from headstart.studio.thumbnails import Thumbnails

_LOOK = 1.0  # seconds between two looks at the disk for changes made outside


class Studio:
    """One open project, with what runs beside the server.

    Args:
        folder: Of the project; it is made where it is not there.

    Raises:
        HeadstartError: It cannot be one.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.place = open_place(folder)
        self._claim = try_to_hold(self.place.own / "lock")
        if self._claim is None:
            raise HeadstartError(
                f"A studio runs on '{self.place.name}' already. Expected one for each folder. Use "
                "its page, or end it first."
            )
        self.events = Events()
        self.project = Project(self.place)
        self.thumbnails = Thumbnails(self.place)
        self.findings = Findings(self.project)
        self.models, self.answering = Models(self.place), Answering()
        self.drawing = ThreadPoolExecutor(2, thread_name_prefix="drawing")
        self.comparing = ThreadPoolExecutor(1, thread_name_prefix="comparing")
        self.project.on_change = self._changed
        self.jobs = Jobs(self.place, self._moved)
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watching", daemon=True)
        self._watcher.start()

    def overview(self) -> dict[str, Any]:
        """The project at a glance, as JSON values."""
        view = self.project.refresh()
        newest = self.jobs.newest("train")
        return {
            "name": self.place.name,
            "folder": display(str(self.place.root)),
            "classes": [
                {"name": name, "images": len(images)} for name, images in view.images.items()
            ],
            "images": view.count,
            "version": view.version,
            "training": None if newest is None else newest.to_dict(),
            "checkup": self._checkup_state(),
            "models": self.models.all(),
        }

    def gallery(self, wanted: tuple[str, str], offset: int, limit: int) -> dict[str, Any]:
        """Some images; `wanted` is a class and a kind of finding, "" for all."""
        view, kinds = self.project.refresh(), self.findings.kinds()
        class_name, kind = wanted
        images: list[Image]
        if kind:
            found = [one for one in view.all() if kind in kinds.get(one.id, ())]
            found = [one for one in found if class_name in ("", one.class_name)]
            total, images = len(found), found[offset : offset + limit]
        else:
            total, images = listed(view, class_name, offset, limit)
        rows = [
            {
                "id": one.id,
                "class": one.class_name,
                "name": one.name,
                "findings": kinds.get(one.id, []),
            }
            for one in images
        ]
        return {"total": total, "version": view.version, "images": rows}

    def train(self, time: str, options: dict[str, Any]) -> dict[str, Any]:
        """Start a training.

        Raises:
            DatasetError: There are too few classes with images.
            HeadstartError: A choice that does not exist.
            Conflict: One is running.
        """
        options = {
            name: display(one) if isinstance(one, str) else one for name, one in options.items()
        }
        recipe_of(time, options)
        found = len(read_dataset(self.place.root).paths)
        request = {
            "time": time,
            "options": options,
            "fingerprint": self._fingerprint(),
            "planned": planned_seconds(time, found),
        }
        return self.jobs.start("train", request).to_dict()

    def look_over(self) -> dict[str, Any]:
        """Start a check-up.

        Raises:
            DatasetError: There are too few classes with images.
            Conflict: One is running.
        """
        read_dataset(self.place.root)
        return self.jobs.start("checkup", {"fingerprint": self._fingerprint()}).to_dict()

    def export(self, key: str, to: str, *, int8: bool) -> dict[str, Any]:
        """Start an export.

        Raises:
            NotThere: There is no such model.
            HeadstartError: There is no such format.
            Conflict: One is running.
        """
        self.models.folder(key)
        check_export(to, int8=int8)
        return self.jobs.start("export", {"model": key, "to": to, "int8": int8}).to_dict()

    def exports(self, key: str) -> dict[str, Any]:
        """The finished exports of a model, and the last job of each format, as JSON values.

        Raises:
            NotThere: There is no such model.
        """
        self.models.folder(key)
        told = [one.to_dict() for one in self.jobs.all_of("export")]
        last = {one["export"]["to"]: one for one in told if one["export"]["model"] == key}
        return {"files": finished_exports(self.place, key), "jobs": list(last.values())}

    def checkup(self) -> dict[str, Any]:
        """What the check-up found, as JSON values."""
        self.project.refresh()
        shown = [one.to_dict() for one in self.findings.shown()]
        job = self.jobs.newest("checkup")
        return {
            **self._checkup_state(),
            "findings": shown,
            "job": None if job is None else job.to_dict(),
        }

    def _checkup_state(self) -> dict[str, Any]:
        return self.findings.state(self.jobs.running("checkup") is not None)

    def _fingerprint(self) -> str:
        return self.project.refresh().fingerprint

    def _changed(self, version: int) -> None:
        self.events.tell("project", "", {"version": version})

    def _moved(self, record: Record) -> None:
        self.events.tell("job", record.id, record.to_dict())

    def _watch(self) -> None:
        with suppress(OSError):
            self.thumbnails.tidy(self.project.view)
        while not self._ended.wait(_LOOK):
            with suppress(OSError):  # the disk is away: the next look may see it again
                self.project.refresh()

    def stop_listening(self) -> None:
        """End the streams of events, which would keep the server from stopping."""
        self.events.close()

    def close(self) -> None:
        """End what runs beside the server; a training goes on."""
        self._ended.set()
        self._watcher.join()
        self.jobs.close()
        self.drawing.shutdown(cancel_futures=True)
        self.comparing.shutdown(cancel_futures=True)
        self.answering.close()
        if self._claim is not None:
            os.close(self._claim)
