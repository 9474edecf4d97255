"""Where things lie: a project's folder, and what the studio keeps in its `.headstart`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from headstart.bundle import is_bundle
from headstart.errors import HeadstartError
from headstart.scan import OWN_FOLDER, display


@dataclass(frozen=True)
class Place:
    """The folders of one project; `root` is absolute, with links resolved."""

    root: Path

    @property
    def own(self) -> Path:
        """What the studio keeps."""
        return self.root / OWN_FOLDER

    @property
    def trash(self) -> Path:
        """What was deleted, a folder for each step that can be undone."""
        return self.own / "trash"

    @property
    def thumbnails(self) -> Path:
        """Small images for the gallery; they can be made again."""
        return self.own / "thumbnails"

    @property
    def incoming(self) -> Path:
        """Uploads that are not complete; emptied at each start."""
        return self.own / "incoming"

    @property
    def jobs(self) -> Path:
        """A folder for each training, check-up and export."""
        return self.own / "jobs"

    @property
    def models(self) -> Path:
        """A bundle for each training, named by a number."""
        return self.own / "models"

    @property
    def name(self) -> str:
        """The name of the folder, fit to be shown."""
        return display(self.root.name or "root")


def open_place(folder: str | os.PathLike[str]) -> Place:
    """Make the folder of a project where it is not there yet.

    Raises:
        HeadstartError: It is a file or a bundle, or cannot be written.
    """
    root = Path(os.path.realpath(folder))
    shown = display(str(folder))
    if root.exists() and not root.is_dir():
        raise HeadstartError(
            f"'{shown}' is a file. Expected a folder, with one folder in it for each class. Give "
            "the folder that holds the images; a zip can be dropped on the page."
        )
    if is_bundle(root):
        raise HeadstartError(
            f"'{shown}' is a trained classifier. Expected a folder with images. Give the folder "
            "that it was trained on; headstart serve answers with a classifier."
        )
    if root in (Path(root.anchor), Path.home()):
        raise HeadstartError(
            f"'{shown}' holds much more than images. Expected a folder of the project's own. Give "
            "one, such as photos/."
        )
    place = Place(root)
    if place.own.is_symlink():
        raise HeadstartError(
            f"'{OWN_FOLDER}' in '{shown}' is a link. Expected a folder of its own. Remove the link."
        )
    try:
        for one in (place.trash, place.thumbnails, place.incoming, place.jobs, place.models):
            one.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HeadstartError(
            f"'{shown}' cannot be written: {error.strerror or error}. Expected a folder that you "
            "may write to. Choose another one, or change its permissions."
        ) from error
    return place
