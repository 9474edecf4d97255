"""Which class and which part each image of a folder belongs to, by the folders that it lies in.

In goes a `Scan`, out come labelled paths and the images that have no place in the layout. Two
layouts: one folder for each class; or such folders inside `train`, `val` (`valid`, `validation`)
and `test`. A `train` folder among class folders, as in bus, car and train, is a class.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

from headstart.errors import DatasetError
from headstart.scan import Problem, Scan, display, display_path
from headstart.table import PARTS

LOOSE = "not in a class folder"
LAYOUT = "Expected one folder for each class, with its images in it, and at least two such classes"
_TABLE_ENDINGS = (".csv", ".tsv")


class Labelled(NamedTuple):
    """A path, the raw name of its class, and the code of its part (-1: not given)."""

    path: str
    label: str
    part: int


@dataclass(frozen=True)
class Layout:
    """Labelled images, the images without a place, and the raw names of all class folders."""

    labelled: tuple[Labelled, ...]
    problems: tuple[Problem, ...]
    classes: frozenset[str]


def read_layout(scan: Scan, wrapper: str = "") -> Layout:
    """Sort the images of `scan` by class and part.

    Args:
        scan: What lies under a folder.
        wrapper: A folder in it that holds everything, which is then seen through; see
            `find_wrapper`.
    """
    folders = [_below(folder, wrapper) for folder in scan.folders if _is_below(folder, wrapper)]
    parts = part_folders(folders)
    labelled: list[Labelled] = []
    problems: list[Problem] = []
    for path in scan.images:
        names = _below(path, wrapper) if _is_below(path, wrapper) else [path]
        placed = _place(path, names, parts)
        if isinstance(placed, Labelled):
            labelled.append(placed)
        else:
            problems.append(Problem(display_path(path), placed))
    depth = 2 if parts else 1
    classes = {
        class_key(names[-1]) for names in folders if len(names) == depth and _in(names, parts)
    }
    return Layout(tuple(labelled), tuple(problems), frozenset(classes))


def find_wrapper(scan: Scan) -> str:
    """The path of a folder that holds all other folders and files, or "" where there is none.

    Archives are often made of one folder that holds the data set. A folder called `train` or `test`
    and a folder without folders in it are no wrapper.
    """
    wrapper = ""
    visible = (*scan.images, *scan.others, *scan.folders)
    while True:
        inner = {_below(path, wrapper)[0] for path in visible if _is_below(path, wrapper)}
        name = inner.pop() if len(inner) == 1 else "train"
        deeper = os.path.join(wrapper, name)
        if name.casefold() in PARTS or not _holds_data_set(scan, deeper):
            return wrapper
        wrapper = deeper


def too_few_classes(
    name: str, class_names: Sequence[str], scan: Scan, problems: Iterable[Problem]
) -> DatasetError:
    """The error for a folder without two classes: what was found there, and what to do."""
    files = [*scan.images, *(one.path for one in scan.problems)]
    what = f"Only one class, '{class_names[0]}'," if class_names else "No usable class folders"
    advice = _advice(class_names, scan, Counter(one.reason for one in problems))
    return DatasetError(f"{what} in '{name}'. {LAYOUT}; found {_counts(files, scan)}. {advice}")


def _is_below(path: str, folder: str) -> bool:
    return not folder or path.startswith(folder + os.sep)


def _below(path: str, folder: str) -> list[str]:
    return path[len(folder) + 1 if folder else 0 :].split(os.sep)


def class_key(name: str) -> str:
    """One form of accents: macOS decomposes them, and a class may come both ways."""
    return unicodedata.normalize("NFC", name)


def part_folders(folders: list[list[str]]) -> dict[str, int]:
    """The top folders that are parts of a ready-made split, with codes; none if it is not one."""
    top = [names[0] for names in folders if len(names) == 1]
    holding = {names[0] for names in folders if len(names) == 2}
    parts = {one: PARTS[one.casefold()] for one in top if one.casefold() in PARTS}
    codes = {code for one, code in parts.items() if one in holding}
    if 0 not in codes or (len(codes) == 1 and len(parts) < len(top)):
        return {}
    return parts


def _in(names: list[str], parts: dict[str, int]) -> bool:
    return not parts or names[0] in parts


def _place(path: str, names: list[str], parts: dict[str, int]) -> Labelled | str:
    if not parts:
        return Labelled(path, class_key(names[0]), -1) if len(names) > 1 else LOOSE
    if names[0] not in parts:
        return LOOSE if len(names) == 1 else "outside the train, validation and test folders"
    return Labelled(path, class_key(names[1]), parts[names[0]]) if len(names) > 2 else LOOSE


def _holds_data_set(scan: Scan, folder: str) -> bool:
    if any(_is_below(one, folder) for one in scan.folders):
        return True
    inside = (one for one in scan.others if os.path.dirname(one) == folder)
    return any(one.lower().endswith(_TABLE_ENDINGS) for one in inside)


def _counts(files: Sequence[str], scan: Scan) -> str:
    """For example "3 folders with 17 .heic files and 2 .txt files"."""
    endings = Counter(PurePath(one).suffix.lower()[:12] for one in files)
    parts = [
        f"{count} {display(ending) + ' ' if ending else ''}file{'s' if count > 1 else ''}"
        for ending, count in sorted(endings.items(), key=lambda item: (-item[1], item[0]))[:5]
    ]
    if len(endings) > 5:
        parts.append("others")
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    folders = len([one for one in scan.folders if os.sep not in one])
    if not folders:
        return listed or "nothing"
    return f"{folders} folder{'s' if folders > 1 else ''} with {listed or 'nothing in them'}"


def _advice(class_names: Sequence[str], scan: Scan, reasons: Counter[str]) -> str:
    tables = [one for one in scan.others if one.lower().endswith(_TABLE_ENDINGS)]
    heic = sum(count for reason, count in reasons.items() if reason.startswith("HEIC"))
    if tables:
        return f"If '{display_path(tables[0])}' lists the images, give that file."
    if heic > sum(reasons.values()) / 2:
        return "Convert the HEIC images, or install headstart[heic]."
    inner = [one for one in scan.folders if os.sep in one]
    if inner and len(scan.folders) - len(inner) == 1:
        above = display_path(os.path.dirname(inner[0]))
        return f"If the classes are the folders in '{above}', give that folder."
    if len(class_names) == 1:
        return "Add a folder with images of something else."
    return (
        "Put the images of each class in a folder of its own, or list them in a CSV file with "
        "the columns path and label."
    )
