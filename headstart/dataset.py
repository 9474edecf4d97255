"""Labelled images: a folder, a CSV file or a zip file of either goes in, a `Dataset` comes out.

Every file that is found is either used or listed with the reason. Files are judged by their first
bytes only, so thousands are read in a moment; what the decoder finds broken later is handed to
`drop`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart import archive
from headstart.errors import DatasetError
from headstart.layout import LAYOUT, Labelled, find_wrapper, read_layout, too_few_classes
from headstart.scan import Problem, Scan, display, display_path, scan_folder, why_unusable
from headstart.table import is_table, read_table

__all__ = ["PART_NAMES", "Dataset", "Problem", "drop", "read_dataset"]

PART_NAMES = ("train", "validation", "test")
_VALIDATION, _TEST = 1, 2
_TABLE_ENDINGS = (".csv", ".tsv")
_UNTRAINED = "no image of its class to train on"


@dataclass(frozen=True)
class Dataset:
    """Labelled images, and what was found and is not used.

    Attributes:
        name: The name of the folder, CSV file or zip file, for display.
        paths: (n,) one file for each image; absolute, in the order of the names or of the CSV
            file.
        labels: int64 (n,), an index into `class_names`.
        class_names: Sorted and unique; each has at least one image.
        parts: int8 (n,), where the user has put an image: -1 nowhere, else an index into
            `PART_NAMES`.
        problems: Files that are not used, and why.
        notes: Remarks for people, such as classes without an image.
        root: The folder that the paths of `problems` are relative to.
    """

    name: str
    paths: tuple[Path, ...]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    parts: npt.NDArray[np.int8]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    root: Path = Path()

    @property
    def found(self) -> int:
        """How many files were found: those used and those skipped."""
        return len(self.paths) + len(self.problems)

    def shown(self, row: int) -> str:
        """Where an image is below `root`, fit to be shown."""
        return display_path(os.path.relpath(self.paths[row], self.root))


def read_dataset(source: str | os.PathLike[str], *, cache: Path | None = None) -> Dataset:
    """Find the images of `source` and their labels.

    Args:
        source: A folder, a CSV file, or a zip file that holds either.
        cache: Where zip files are unpacked; by default headstart's cache folder.

    Raises:
        DatasetError: There is no such source, it is damaged or hostile, or fewer than two classes
            have usable images.
    """
    path = Path(os.path.abspath(os.fsdecode(source)))
    if os.path.isdir(path):  # unlike Path.is_dir, never raises
        return _from_folder(path, scan_folder(str(path)), display(path.resolve().name or "root"))
    if _is_archive(path):
        return _from_archive(archive.unpack(path, cache), display(path.stem))
    return _from_table(path)


def drop(dataset: Dataset, bad: Mapping[int, str]) -> Dataset:
    """Move images that turned out to be unusable to the problems.

    A class that is left without an image goes too; where the user has made the split, so do the
    images of a class that is left without one to train on.

    Args:
        dataset: What `read_dataset` gave.
        bad: Row -> reason.

    Raises:
        DatasetError: Fewer than two classes are left.
    """
    if not bad:
        return dataset
    left = _without(dataset, bad)
    if len(left.class_names) < 2:
        row = min(bad)
        raise DatasetError(
            f"Fewer than two classes of '{dataset.name}' have images that can be used. {LAYOUT}; "
            f"{len(bad)} of {len(dataset.paths)} images cannot be, such as "
            f"'{_shown(dataset.paths[row], dataset.root)}' ({bad[row]}). Replace those images."
        )
    lost = sorted(set(dataset.class_names) - set(left.class_names))
    return replace(left, notes=(*left.notes, *_listed(lost, "left without a usable image")))


def _is_archive(path: Path) -> bool:
    """Whether a source that is no folder is a zip file; if not, it is a table.

    Raises:
        DatasetError: It is neither.
    """
    shown = display(str(path))
    why = why_unusable(str(path)) or "one image"
    if why == "no such file":
        raise DatasetError(
            f"There is no '{shown}'. Expected a folder of images, a CSV file or a zip file. "
            "Check the path."
        )
    if why == "not an image":
        if archive.is_zip(path):
            return True
        if path.suffix.lower() in _TABLE_ENDINGS:
            return False
        why = "neither a zip file nor a CSV file"
    raise DatasetError(
        f"'{shown}' cannot be used: {why}. Expected a folder of images, a CSV file or a zip "
        "file. Give the folder that holds one folder for each class."
    )


def _from_folder(root: Path, scan: Scan, name: str, wrapper: str = "") -> Dataset:
    layout = read_layout(scan, wrapper)
    problems = (*scan.problems, *layout.problems)
    dataset = _assemble(name, root, layout.labelled, problems)
    empty = {display(one) for one in layout.classes}.difference(
        display(one.label) for one in layout.labelled
    )
    if len(dataset.class_names) < 2:
        raise too_few_classes(name, dataset.class_names, scan, problems)
    return replace(dataset, notes=(*dataset.notes, *_listed(sorted(empty), "without an image")))


def _from_archive(root: Path, name: str) -> Dataset:
    """Read an unpacked archive: the table in it, else its folders."""
    scan = scan_folder(str(root))
    wrapper = find_wrapper(scan)
    tables = [
        root / one
        for one in scan.others
        if os.path.dirname(one) == wrapper
        and one.lower().endswith(_TABLE_ENDINGS)
        and is_table(root / one)
    ]
    if len(tables) != 1:
        return _from_folder(root, scan, name, wrapper)
    return _from_packed_table(tables[0], scan, root, name)


def _from_table(path: Path) -> Dataset:
    table = read_table(path)
    labelled = [Labelled(row.path, row.label, row.part) for row in table.rows]
    dataset = _assemble(display(path.stem), path.parent, labelled, table.problems)
    return _checked_table(dataset, display(path.name))


def _from_packed_table(path: Path, scan: Scan, root: Path, name: str) -> Dataset:
    """The rows of a table in an archive; files that it does not list are problems too."""
    table = read_table(path, confined=True)
    mentioned = {*table.mentioned, str(path)}
    shown = {_shown(Path(one), root) for one in mentioned if one}
    unlisted = [one for one in scan.images if str(root / one) not in mentioned]
    problems = [
        *table.problems,
        *(Problem(display_path(one), f"not listed in {display(path.name)}") for one in unlisted),
        *(one for one in scan.problems if one.path not in shown),
    ]
    labelled = [Labelled(row.path, row.label, row.part) for row in table.rows]
    return _checked_table(_assemble(name, root, labelled, problems), display(path.name))


def _checked_table(dataset: Dataset, file_name: str) -> Dataset:
    if len(dataset.class_names) >= 2:
        return dataset
    example = ""
    if dataset.problems:
        first = dataset.problems[0]
        example = f", such as '{first.path}' ({first.reason})"
    raise DatasetError(
        f"'{file_name}' gives usable images of {len(dataset.class_names)} classes. Expected at "
        f"least two classes in its column 'label'; {len(dataset.paths)} of {dataset.found} rows "
        f"can be used, {len(dataset.problems)} cannot{example}. Correct the rows or add more."
    )


def _assemble(
    name: str, root: Path, labelled: Sequence[Labelled], problems: Iterable[Problem]
) -> Dataset:
    names = displayed_names({one.label for one in labelled})
    class_names = tuple(sorted(names.values()))
    place = {shown: index for index, shown in enumerate(class_names)}
    codes = {raw: place[shown] for raw, shown in names.items()}
    parts = np.array([one.part for one in labelled], np.int8)
    notes: tuple[str, ...] = ()
    if (parts == _VALIDATION).any() and not (parts == _TEST).any():
        parts[parts == _VALIDATION] = _TEST
        notes = ("no test part: the validation part is the test part",)
    dataset = Dataset(
        name=name,
        paths=tuple(root / one.path for one in labelled),
        labels=np.array([codes[one.label] for one in labelled], np.int64),
        class_names=class_names,
        parts=parts,
        problems=tuple(problems),
        notes=notes,
        root=root,
    )
    dataset = _without(dataset, {})
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    single = [dataset.class_names[label] for label in np.flatnonzero(counts == 1)]
    return replace(dataset, notes=(*notes, *_listed(single, "with one image, which only trains")))


def displayed_names(raw: Iterable[str]) -> dict[str, str]:
    """Raw name of a class -> its name for display; the escapes must not make two names one."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for one in sorted(raw):
        shown, count = display(one), 1
        while shown in used:
            count += 1
            shown = f"{display(one)} ({count})"
        used.add(shown)
        names[one] = shown
    return names


def _without(dataset: Dataset, bad: Mapping[int, str]) -> Dataset:
    """Drop the bad rows, then rows of classes that cannot be trained, then the empty classes."""
    reasons = dict(bad)
    good = np.ones(len(dataset.paths), bool)
    good[list(bad)] = False
    trains = good & (dataset.parts != _VALIDATION) & (dataset.parts != _TEST)
    if trains.any():
        trained = np.bincount(dataset.labels[trains], minlength=len(dataset.class_names)) > 0
        untrained = np.flatnonzero(good & ~trained[dataset.labels])
        reasons.update((int(row), _UNTRAINED) for row in untrained)
        good[untrained] = False
    kept = np.flatnonzero(good)
    present, labels = np.unique(dataset.labels[kept], return_inverse=True)
    moved = [Problem(_shown(dataset.paths[row], dataset.root), reasons[row]) for row in reasons]
    return replace(
        dataset,
        paths=tuple(dataset.paths[row] for row in kept),
        labels=labels.astype(np.int64).reshape(-1),
        class_names=tuple(dataset.class_names[label] for label in present),
        parts=dataset.parts[kept],
        problems=tuple(sorted((*dataset.problems, *moved), key=_by_path)),
    )


def _by_path(problem: Problem) -> list[str]:
    return problem.path.split("/")


def _shown(path: Path, root: Path) -> str:
    return display_path(str(path).removeprefix(str(root) + os.sep))


def _listed(names: Sequence[str], what: str) -> tuple[str, ...]:
    """One note about some classes, or none where there are none."""
    if not names:
        return ()
    first = ", ".join(names[:10]) + (" and others" if len(names) > 10 else "")
    return (f"{len(names)} class{'es' if len(names) > 1 else ''} {what}: {first}",)
