"""All that one running studio holds; made once, used by every route."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headstart.scan import display
from headstart.studio.events import Events
from headstart.studio.index import listed
from headstart.studio.place import open_place
from headstart.studio.project import Project
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
        self.events = Events()
        self.project = Project(self.place)
        self.thumbnails = Thumbnails(self.place)
        self.drawing = ThreadPoolExecutor(2, thread_name_prefix="drawing")
        self.project.on_change = self._changed
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watching", daemon=True)
        self._watcher.start()

    def overview(self) -> dict[str, Any]:
        """The project at a glance, as JSON values."""
        view = self.project.refresh()
        return {
            "name": self.place.name,
            "folder": display(str(self.place.root)),
            "classes": [
                {"name": name, "images": len(images)} for name, images in view.images.items()
            ],
            "images": view.count,
            "version": view.version,
            "training": None,
            "checkup": {"state": "none", "findings": 0, "outdated": False},
            "models": [],
        }

    def gallery(self, wanted: tuple[str, str], offset: int, limit: int) -> dict[str, Any]:
        """Some images; `wanted` is a class and a kind of finding, "" for all."""
        view = self.project.refresh()
        total, images = listed(view, wanted[0], offset, limit)
        rows = [
            {"id": one.id, "class": one.class_name, "name": one.name, "findings": []}
            for one in images
        ]
        return {"total": total, "version": view.version, "images": rows}

    def _changed(self, version: int) -> None:
        self.events.tell("project", "", {"version": version})

    def _watch(self) -> None:
        self.thumbnails.tidy(self.project.view)
        while not self._ended.wait(_LOOK):
            self.project.refresh()

    def stop_listening(self) -> None:
        """End the streams of events, which would keep the server from stopping."""
        self.events.close()

    def close(self) -> None:
        """End what runs beside the server; a training goes on."""
        self._ended.set()
        self._watcher.join()
        self.drawing.shutdown(cancel_futures=True)
