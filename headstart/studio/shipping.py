"""Taking a classifier elsewhere: exports to download, code to copy, two versions compared."""

from __future__ import annotations

import os
import shlex
import zipfile
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart import atomic
from headstart.comparison import Comparison, compare_answers
from headstart.dataset import Dataset, read_dataset
from headstart.exporting.target import FORMATS
from headstart.reporting.wording import count
from headstart.retest import answer_images
from headstart.studio.choices import BUNDLE
from headstart.studio.index import NotThere, View
from headstart.studio.models import Models
from headstart.studio.place import Place
from headstart.studio.traces import own_names

_SERVED = "http://127.0.0.1:8000/predict"  # as headstart serve answers


def exports_of(place: Place, key: str) -> Path:
    """The folder of a model's exports."""
    return place.own / "exports" / key


def export_name(place: Place, key: str, to: str, *, int8: bool) -> str:
    """The name of an export's file, which is never hidden."""
    return f"{place.name.lstrip('.')}{_ending(key, to, int8)}"


def _ending(key: str, to: str, int8: bool) -> str:
    return f"-{key}-{to}{'-int8' if int8 else ''}.zip"


def finished_exports(place: Place, key: str) -> list[dict[str, Any]]:
    """The exports of a model that can be downloaded, as JSON values.

    They are told by the end of their names: the project's folder may have been called otherwise.
    """
    return [
        {"file": name, "to": to, "int8": int8}
        for to in (BUNDLE, *FORMATS)
        for int8 in (False, True)
        for name in _zips(exports_of(place, key))
        if name.endswith(_ending(key, to, int8))
    ]


def _zips(folder: Path) -> list[str]:
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(one for one in names if one.endswith(".zip") and not one.startswith("."))


def export_file(place: Place, key: str, name: str) -> Path:
    """A finished export by the name of its file, or NotThere."""
    folder = exports_of(place, key)
    if name not in _zips(folder):
        raise NotThere("There is no such export. Expected one that was made here. Make it again.")
    return folder / name


def pack(files: Sequence[tuple[Path, str]], target: Path) -> None:
    """Write a zip of files, each under a name; models are hardly smaller packed."""
    with (
        atomic.new_files(target.parent) as made,
        zipfile.ZipFile(made / target.name, "w", zipfile.ZIP_STORED) as archive,
    ):
        for path, name in files:
            archive.write(path, name)


def compare_models(models: Models, view: View, a: str, b: str) -> dict[str, Any]:
    """Two models on the test images of both that are still in the project, as JSON values.

    They are of the images that neither was trained on, where there are some.

    Raises:
        NotThere: There is no such model, or no image to compare them on.
    """
    folders = models.folder(a), models.folder(b)
    found = [models.traced(key, view) for key in (a, b)]
    images = {one.shown: one for its in found for one in its.values()}
    missing = {one.path for key in (a, b) for one in models.answers(key)} - set().union(*found)
    names = [
        own_names(models.about(key)["classes"], models.answers(key), its, view)
        for key, its in zip((a, b), found, strict=True)
    ]
    known = names[0].keys() & names[1].keys()
    kept = {shown for shown, one in images.items() if one.class_name in known}
    left_out = _left_out(len(missing), "not in the project any more")
    left_out += _left_out(len(images) - len(kept), "one of the two does not know the class")
    if not kept:
        raise NotThere(
            f"There is no image to compare these models on.{left_out} Expected images that they "
            "were tested on, of classes that both know. Train again to compare."
        )
    dataset = _only(read_dataset(models.place.root), kept, known)
    first, second = (
        answer_images(
            folder, replace(dataset, class_names=tuple(its[one] for one in dataset.class_names))
        )
        for folder, its in zip(folders, names, strict=True)
    )
    compared = compare_answers((str(folders[0]), str(folders[1])), (first, second), dataset.name)
    told = (compared.unseen or compared).to_dict()
    return {**told, "words": in_words(compared) + left_out}


def _only(dataset: Dataset, shown: set[str], classes: Set[str]) -> Dataset:
    """The images of some paths and classes."""
    names = tuple(one for one in dataset.class_names if one in classes)
    place = {name: number for number, name in enumerate(names)}
    rows = [row for row in range(len(dataset.paths)) if dataset.shown(row) in shown]
    return replace(
        dataset,
        paths=tuple(dataset.paths[row] for row in rows),
        labels=np.array(
            [place[dataset.class_names[dataset.labels[row]]] for row in rows], np.int64
        ),
        class_names=names,
        parts=np.full(len(rows), -1, np.int8),
        problems=(),
    )


def in_words(found: Comparison) -> str:
    """Which of two is better, in plain words; by the images that neither has seen, if possible."""
    judged = found.unseen or found
    more = judged.b.right - judged.a.right
    if not more:
        text = "Both are right for equally many"
    else:
        text = f"The {'second' if more > 0 else 'first'} is right for {abs(more)} more"
    text = f"{text} of {count(judged.images, 'image')}."
    if more:
        sure = "This is more than chance" if judged.beyond_chance else "This may be chance"
        text = f"{text} {sure}."
    text += _left_out(found.images - judged.images, "one of the two learned from {}")
    seen = judged.a.seen, judged.b.seen
    if any(seen):
        who = "Both were" if all(seen) else f"The {'first' if seen[0] else 'second'} was"
        so = "they look better than they are" if all(seen) else "it looks better than it is"
        text += f" {who} trained on some of these images, so {so}."
    return text


def _left_out(number: int, why: str) -> str:
    """A sentence on images that were not used, "" on none; `why` has a place for the pronoun."""
    if not number:
        return ""
    verb, them = ("is", "it") if number == 1 else ("are", "them")
    return f" {count(number, 'image')} {verb} left out: {why.format(them)}."


def usage(folder: Path) -> dict[str, str]:
    """Commands and code to use a model, for copying."""
    place = str(folder)
    return {
        "serve": shlex.join(["headstart", "serve", place]),
        "predict": shlex.join(["headstart", "predict", place, "new.jpg"]),
        "python": (
            "import headstart\n\n"
            f"classifier = headstart.load({place!r})\n"
            'print(classifier.predict("new.jpg"))\n'
        ),
        "curl": f"curl --data-binary @new.jpg {_SERVED}\n",
        "javascript": (
            f'const answer = await fetch("{_SERVED}", {{\n'
            '  method: "POST",\n'
            "  body: file, // from <input type=file>, or a Blob\n"
            "});\n"
            "console.log(await answer.json());\n"
        ),
    }
