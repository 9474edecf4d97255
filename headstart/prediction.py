"""`headstart predict`: files from paths and folders, and their answers as text, CSV or JSON."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from headstart import formats, progress
from headstart.answers import Prediction, Unreadable, in_words
from headstart.errors import HeadstartError
from headstart.scan import encodable, printable

_MOST_CANDIDATES = 3  # named in a line of text
Answers = Iterable[Prediction | Unreadable]


def find_files(places: Sequence[Path]) -> list[Path]:
    """Every file named, and every image (by content) in the folders named, sorted within a folder.

    Raises:
        HeadstartError: A place does not exist, or there is no image at all.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += _images_in(place)
        elif place.exists():
            found.append(place)
        else:
            raise HeadstartError(
                f"There is no file or folder '{printable(str(place))}'. Expected images or "
                "folders of images. Check the path."
            )
    if not found:
        names = ", ".join(f"'{printable(str(place))}'" for place in places)
        raise HeadstartError(
            f"No images in {names}. Expected JPEG, PNG, WebP, BMP, GIF or TIFF files."
        )
    return found


def _images_in(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and _is_image(path):
                found.append(path)
    return found


def _refuse(error: OSError) -> None:
    """A folder that cannot be read is no empty folder."""
    raise error


def _is_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return formats.sniff(file.read(formats.HEAD_BYTES)) is not None
    except OSError:
        return True  # it may be one: its answer will say why it cannot be read


def write_text(answers: Answers, top: int, total: int) -> int:
    """Print a line for each image: its name and its `top` classes; gives how many were answered."""
    answered = 0
    for answer in _counted(answers, total):
        if isinstance(answer, Unreadable):
            print(f"skipped {printable(answer.reason)}", file=sys.stderr)
            continue
        answered += 1
        classes = ", ".join(f"{printable(label)} {value:.3f}" for label, value in answer.top(top))
        doubts = "; ".join(map(printable, answer.doubts(_MOST_CANDIDATES)))
        print(f"{printable(answer.source)}: {classes}{f' ({doubts})' if doubts else ''}")
    return answered


def write_csv(answers: Answers, top: int, total: int) -> int:
    """Print CSV: path, label and probability (numbered where `top` > 1), and three columns more.

    `candidates` are as in the text, `cat or fox`, and empty where the classifier has no sets;
    `unknown` is `yes` or empty; `error` says why there is no answer. Gives how many were answered.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    ranks = [""] if top == 1 else [f"_{rank + 1}" for rank in range(top)]
    ranked = [f"{name}{rank}" for rank in ranks for name in ("label", "probability")]
    writer.writerow(["path", *ranked, "candidates", "unknown", "error"])
    answered = 0
    for answer in _counted(answers, total):
        if isinstance(answer, Unreadable):
            writer.writerow(
                [printable(answer.source), *[""] * (2 * len(ranks) + 2), printable(answer.reason)]
            )
            continue
        answered += 1
        cells = [
            cell for label, value in answer.top(top) for cell in (printable(label), f"{value:.6f}")
        ]
        cells += [""] * (2 * len(ranks) - len(cells))
        found = "" if answer.candidates is None else printable(in_words(answer.candidates))
        unknown = "yes" if answer.unknown else ""
        writer.writerow([printable(answer.source), *cells, found, unknown, ""])
    return answered


def write_json(answers: Answers, top: int, total: int) -> int:
    """Print one JSON object with an entry for each image; gives how many were answered."""
    answered = 0
    print('{"predictions": [', end="")
    for index, answer in enumerate(_counted(answers, total)):
        entry: dict[str, object] = {"path": encodable(answer.source)}
        if isinstance(answer, Unreadable):
            entry["error"] = encodable(answer.reason)
        else:
            answered += 1
            classes = [{"label": label, "probability": value} for label, value in answer.top(top)]
            entry |= {"label": answer.label, "probability": answer.probability, "top": classes}
            found = answer.candidates
            entry |= {"candidates": None if found is None else list(found)}
            entry |= {"unknown": answer.unknown}
        print(("," if index else "") + "\n " + json.dumps(entry, allow_nan=False), end="")
    print("\n]}")
    return answered


def _counted(answers: Answers, total: int) -> Answers:
    with progress.stage("predict", total) as stage:
        for answer in answers:
            stage.advance()
            yield answer
