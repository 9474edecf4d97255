"""The terminal: progress bars with time left on stderr, results on stdout, one clear line for an error."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from headstart import progress
from headstart.errors import HeadstartError

_LINE_SECONDS = 5.0  # between two lines of progress where stderr is no terminal
INTERRUPTED = 130


@contextmanager
def errors_told() -> Iterator[None]:
    """Turn an error into one clear message and an exit code: 2 for bad input, 130 for Ctrl-C."""
    try:
        yield
    except HeadstartError as error:
        _stop(f"Error: {error}", 2)
    except KeyboardInterrupt:
        _stop("Stopped. Finished work is kept: the same command goes on from here.", INTERRUPTED)
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except MemoryError:
        _stop(
            "Error: Not enough memory. Expected a few hundred MB free. Close programs, or use a smaller size.",
            2,
        )
    except OSError as error:
        name = f" '{displayable(str(error.filename))}'" if error.filename else ""
        _stop(
            f"Error: The system refused{name}: {error.strerror or error}. Check the path, space and permission.",
            2,
        )


def _stop(message: str, code: int) -> None:
    print(displayable(message), file=sys.stderr)
    raise SystemExit(code) from None


def displayable(text: str) -> str:
    """Make text safe to print: no broken encoding, no control characters."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        mark if mark.isprintable() or mark == "\n" else repr(mark)[1:-1] for mark in safe
    )


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
            print(f"{event.stage}: {displayable(event.message)}", file=sys.stderr, flush=True)
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
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, Any] = {}
        self._progress.start()

    def hear(self, event: progress.Event) -> None:
        """Move the bar of the event's stage."""
        if event.message:
            self._progress.console.print(
                f"{event.stage}: {displayable(event.message)}", markup=False, highlight=False
            )
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
