"""The terminal: progress with time left on stderr, results on stdout, one line for an error."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from headstart import progress
from headstart.errors import HeadstartError
from headstart.frameworks import without_stderr
from headstart.scan import printable

_LINE_SECONDS = 5.0  # between two lines of progress where stderr is no terminal
DEFECT, BAD_INPUT, INTERRUPTED, NO_READER = 1, 2, 130, 141  # exit codes; 128 + the signal


@contextmanager
def errors_told() -> Iterator[None]:
    """Turn an error into one clear line on stderr and an exit code.

    2 for what the user can put right, 130 for Ctrl-C, 141 where the reader of stdout has gone, and
    1 for a defect of headstart, whose whole traceback `HEADSTART_TRACEBACK=1` shows.
    """
    try:
        yield
        sys.stdout.flush()  # what cannot be written is told here, not by Python at the very end
    except HeadstartError as error:
        _stop(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        _end("Stopped. What has been computed is kept: the same command goes on.", INTERRUPTED)
    except BrokenPipeError:  # as `head` does
        _end("", NO_READER)
    except MemoryError:
        _stop(
            "Not enough memory. Expected a few hundred MB free. Close programs, or use a smaller "
            "image size.",
            BAD_INPUT,
        )
    except OSError as error:
        name = f" '{error.filename}'" if error.filename else ""
        _stop(
            f"The system refused{name}: {error.strerror or error}. Expected a path that can be "
            "read and written, and space. Check them.",
            BAD_INPUT,
        )
    except Exception as error:
        if os.environ.get("HEADSTART_TRACEBACK"):
            raise
        _stop(_defect(error), DEFECT)


def _defect(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno}). "
        "This is a defect of headstart. Report it, with what HEADSTART_TRACEBACK=1 shows."
    )


def _stop(message: str, code: int) -> NoReturn:
    _end(f"Error: {message}", code)


def _end(line: str, code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:  # send the rest nowhere: Python would try again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with suppress(OSError):  # the reader of stderr may have gone too
        print(printable(line), end="\n" if line else "", file=sys.stderr, flush=True)
    raise SystemExit(code) from None


@contextmanager
def own_words() -> Iterator[None]:
    """Keep what libraries in C print of a bad image, such as libtiff, off stderr."""
    before = sys.stderr
    try:
        has_it = before.fileno() == 2
    except (OSError, ValueError):  # no file, as within a test
        has_it = False
    if not has_it:
        yield
        return
    before.flush()
    with open(os.dup(2), "w", 1, encoding=before.encoding, errors="backslashreplace") as stream:
        sys.stderr = stream
        try:
            with without_stderr():
                yield
        finally:
            sys.stderr = before


def displayable(text: str) -> str:
    """Make text of several lines safe to print: no broken encoding, no control characters."""
    return "\n".join(printable(line) for line in text.split("\n"))


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    print(json.dumps(values, indent=2, allow_nan=False))


@contextmanager
def progress_shown() -> Iterator[None]:
    """Show the progress of all work inside the block on stderr."""
    listener = _Bars() if sys.stderr.isatty() else _Lines()
    try:
        with progress.listen(listener.hear):
            yield
    finally:
        listener.close()


class _Lines:
    """Progress as a line every few seconds, for logs."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def hear(self, event: progress.Event) -> None:
        """Print what is worth a line."""
        if event.message:
            print(f"{event.stage}: {printable(event.message)}", file=sys.stderr, flush=True)
        if event.message or event.figures is not None:
            return
        now = time.monotonic()
        due = self._next.setdefault(event.stage, now + _LINE_SECONDS)
        if event.total and not event.finished and now >= due:
            self._next[event.stage] = now + _LINE_SECONDS
            left = "" if event.seconds_left is None else f", {event.seconds_left:.0f} s left"
            print(
                f"{event.stage}: {event.done} of {event.total}{left}", file=sys.stderr, flush=True
            )

    def close(self) -> None:
        """Nothing to put back."""


class _Bars:
    """Progress as bars in a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._progress = Progress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            # To a file or a pipe the results go as they are, and not to the terminal.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._tasks: dict[str, Any] = {}
        self._progress.start()

    def hear(self, event: progress.Event) -> None:
        """Move the bar of the event's stage."""
        if event.message:
            self._progress.console.print(
                f"{event.stage}: {printable(event.message)}", markup=False, highlight=False
            )
        if event.message or event.figures is not None:
            return
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._progress.add_task(
                event.stage, total=event.total or None, left=""
            )
        left = "" if event.seconds_left is None else f"{event.seconds_left:.0f} s left"
        total = max(event.done, event.total, 1) if event.finished else event.total or None
        done = total if event.finished and not event.total else event.done
        self._progress.update(self._tasks[event.stage], completed=done or 0, total=total, left=left)

    def close(self) -> None:
        """Give the terminal back."""
        self._progress.stop()
