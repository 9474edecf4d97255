"""What a check-up found, beside the images as they are now, with fixes that one click applies.

A finding goes with its images: what was moved or deleted since is left out, and a finding is gone
when fewer images are left than it takes. "Keep" is remembered in `.headstart/kept.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart import atomic
from headstart.checkup.finding import TITLES, Finding
from headstart.notes import read_note
from headstart.studio.index import Image, NotThere, View, digest
from headstart.studio.project import Project

_SEVERAL = frozenset({"leak", "two_labels", "copy", "near_copy"})  # about two images or more
_WHOLE = frozenset({"shortcut", "imbalance"})  # about classes, not about single images


@dataclass(frozen=True)
class Fix:
    """One way to deal with a finding: `delete` or `move` some images, or `keep` all."""

    action: str
    title: str
    ids: tuple[str, ...] = ()
    class_name: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "action": self.action,
            "title": self.title,
            "ids": list(self.ids),
            "class": self.class_name or None,
        }


@dataclass(frozen=True)
class Shown:
    """A finding with the images that it is about, as they are in the project now."""

    id: str
    finding: Finding
    images: tuple[Image, ...]
    fixes: tuple[Fix, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        one = self.finding
        return {
            "id": self.id,
            "kind": one.kind,
            "title": TITLES[one.kind],
            "advice": one.advice,
            "evidence": one.evidence,
            "score": one.score,
            "suggested": one.suggested or None,
            "classes": list(one.classes),
            "files": list(one.files),
            "images": [image.id for image in self.images],
            "fixes": [fix.to_dict() for fix in self.fixes],
        }


class Findings:
    """The findings of one project, read again when the file or the project has changed."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._file, self._kept = project.place.own / "checkup.json", project.place.own / "kept.json"
        self._key: tuple[int, int, int] | None = None
        self._shown: tuple[Shown, ...] = ()
        self._kinds: dict[str, list[str]] = {}
        self._fingerprint = ""

    def shown(self) -> tuple[Shown, ...]:
        """All that is left to look at."""
        view = self.project.view
        key = (view.version, _stamp(self._file), _stamp(self._kept))
        if key != self._key:
            values, kept = read_note(self._file), set(read_note(self._kept).get("kept", ()))
            shown = tuple(_shown(view, values, kept))
            kinds: dict[str, list[str]] = {}
            for one in shown:
                for image in one.images if one.finding.kind not in _WHOLE else ():
                    kinds.setdefault(image.id, []).append(one.finding.kind)
            self._shown, self._kinds = shown, kinds
            self._fingerprint, self._key = values.get("fingerprint", ""), key
        return self._shown

    def kinds(self) -> Mapping[str, list[str]]:
        """For the id of an image the kinds of findings about it."""
        self.shown()
        return self._kinds

    def state(self, running: bool) -> dict[str, Any]:
        """Whether there was a check-up, what is left of it, and whether images have changed."""
        count = len(self.shown())
        state = "running" if running else "done" if _stamp(self._file) else "none"
        outdated = state == "done" and self._fingerprint != self.project.view.fingerprint
        return {"state": state, "findings": count, "outdated": outdated}

    def fix(self, key: str, action: str, ids: list[str] | None) -> str | None:
        """Apply a fix; the id by which it is undone, None for `keep`.

        Args:
            key: The id of the finding.
            action: `delete`, `move` or `keep`.
            ids: Of the images; those of the first such fix where left out.

        Raises:
            NotThere: There is no such finding or fix.
        """
        found = next((one for one in self.shown() if one.id == key), None)
        fits = [one for one in found.fixes if one.action == action] if found else []
        if ids is not None and action != "keep":
            own = {image.id for image in found.images} if found else set()
            fits = [one for one in fits if ids and set(ids) <= own]
        if not fits:
            raise NotThere(
                "There is no such fix any more. Expected one of a finding that is shown. Load the "
                "page again."
            )
        if action == "keep":
            self._keep(key)
            return None
        chosen = list(fits[0].ids if ids is None else ids)
        if action == "move":
            return self.project.move(chosen, fits[0].class_name)
        return self.project.delete(chosen)

    def _keep(self, key: str) -> None:
        kept = [*read_note(self._kept).get("kept", ()), key]
        atomic.write_file(self._kept, json.dumps({"kept": sorted(set(kept))}))


def _stamp(path: Path) -> int:
    try:
        return int(path.stat().st_mtime_ns)
    except OSError:
        return 0


def _shown(view: View, values: Mapping[str, Any], kept: set[str]) -> Iterator[Shown]:
    for said in values.get("findings", ()):
        names = ("kind", "files", "classes", "evidence", "score", "suggested")
        one = Finding(**{name: said[name] for name in names})
        key = digest("\n".join([one.kind, *sorted(one.files), *one.classes, one.suggested]))
        images = tuple(view.by_shown[file] for file in one.files if file in view.by_shown)
        if key not in kept and _still(one, images):
            yield Shown(key, one, images, tuple(_fixes(view, one, images)))


def _still(one: Finding, images: tuple[Image, ...]) -> bool:
    """Whether a finding still holds, as far as its images tell."""
    if one.kind in _WHOLE:
        return True
    if one.kind == "two_labels" and len({image.class_name for image in images}) < 2:
        return False
    if one.kind == "label" and images and images[0].class_name == one.suggested:
        return False
    return len(images) >= (2 if one.kind in _SEVERAL else 1)


def _fixes(view: View, one: Finding, images: tuple[Image, ...]) -> Iterator[Fix]:
    ids = tuple(image.id for image in images)
    if one.kind == "two_labels":
        for name in dict.fromkeys(image.class_name for image in images):
            rest = tuple(image.id for image in images if image.class_name != name)
            yield Fix("delete", f"Keep it as '{name}', delete the others", rest)
    elif one.kind in _SEVERAL:
        yield Fix("delete", f"Keep the first, delete {len(ids) - 1}", ids[1:])
    elif one.kind not in _WHOLE:
        if one.suggested in view.folders:
            yield Fix("move", f"Move to '{one.suggested}'", ids, one.suggested)
        yield Fix("delete", "Delete", ids)
    yield Fix("keep", "Leave it as it is")
