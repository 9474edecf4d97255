"""What `headstart predict` prints: answers as text, CSV or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable

from headstart.answers import Prediction, Unreadable
from headstart.batch.columns import Answer, Columns
from headstart.batch.journal import csv_line
from headstart.scan import encodable, printable

_MOST_CANDIDATES = 3  # named in a line of text
Answers = Iterable[Answer]


def write_text(answers: Answers, top: int) -> int:
    """Print a line for each image: its name and its `top` classes; gives how many were answered."""
    answered = 0
    for answer in answers:
        print_text(answer, top)
        answered += isinstance(answer, Prediction)
    return answered


def print_text(answer: Answer, top: int) -> None:
    """Print one line; to stderr where a file could not be read."""
    if isinstance(answer, Unreadable):
        refused = f"skipped {printable(answer.source)}: {printable(answer.reason)}"
        print(refused, file=sys.stderr, flush=True)
        return
    classes = ", ".join(f"{printable(label)} {value:.3f}" for label, value in answer.top(top))
    doubts = "; ".join(map(printable, answer.doubts(_MOST_CANDIDATES)))
    print(f"{printable(answer.source)}: {classes}{f' ({doubts})' if doubts else ''}")


def write_csv(answers: Answers, columns: Columns) -> int:
    """Print CSV with a header; gives how many were answered."""
    answered = 0
    print(csv_line(columns.header()), end="")
    for answer in answers:
        print(csv_line(columns.text(answer)), end="")
        answered += isinstance(answer, Prediction)
    return answered


def write_json(answers: Answers, top: int) -> int:
    """Print one JSON object with an entry for each image; gives how many were answered."""
    answered = 0
    print('{"predictions": [', end="")
    for index, answer in enumerate(answers):
        answered += isinstance(answer, Prediction)
        print(("," if index else "") + "\n " + json_entry(answer, top), end="")
    print("\n]}")
    return answered


def json_entry(answer: Answer, top: int) -> str:
    """One answer as a JSON object on one line."""
    entry: dict[str, object] = {"path": encodable(answer.source)}
    if isinstance(answer, Unreadable):
        entry["error"] = encodable(answer.reason)
    else:
        classes = [{"label": label, "probability": value} for label, value in answer.top(top)]
        entry |= {"label": answer.label, "probability": answer.probability, "top": classes}
        found = answer.candidates
        entry |= {"candidates": None if found is None else list(found)}
        entry |= {"unknown": answer.unknown}
    return json.dumps(entry, allow_nan=False)


def line_writer(form: str, columns: Columns) -> Callable[[Answer], None]:
    """What prints one answer after another at once, as `text`, `csv` or `json` lines."""
    if form == "csv":
        print(csv_line(columns.header()), end="", flush=True)

    def write(answer: Answer) -> None:
        if form == "text":
            print_text(answer, columns.top)
        elif form == "csv":
            print(csv_line(columns.text(answer)), end="")
        else:
            print(json_entry(answer, columns.top))
        sys.stdout.flush()

    return write
