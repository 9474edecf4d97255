from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Never

import pytest

from headstart import console, progress
from headstart.console import displayable, errors_told, print_json, progress_shown
from headstart.errors import DatasetError, HeadstartError, MissingExtra

Capture = pytest.CaptureFixture[str]


def failing(error: BaseException) -> Never:
    with errors_told():
        raise error
    raise AssertionError("errors_told let it pass")


def refused() -> OSError:
    return PermissionError(13, "Permission denied", "a\nb")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (HeadstartError("No images. Add some."), 2, "Error: No images. Add some.\n"),
        (DatasetError("two\nlines\x1b[2J"), 2, "Error: two\\nlines\\x1b[2J\n"),
        (MissingExtra("a package is needed"), 2, "Error: a package is needed\n"),
        (refused(), 2, "Error: The system refused 'a\\nb': Permission denied. Expected a path"),
        (OSError("odd"), 2, "Error: The system refused: odd. Expected a path"),
        (MemoryError(), 2, "Error: Not enough memory. Expected"),
        (KeyboardInterrupt(), 130, "Stopped. "),
        (BrokenPipeError(), 141, ""),
        (KeyError("x"), 1, "Error: KeyError: 'x' (test_console.py, line "),
        (ValueError("\udcff"), 1, "Error: ValueError: \\xff (test_console.py, line "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line_and_a_code(
    capsys: Capture, error: BaseException, code: int, line: str
) -> None:
    with pytest.raises(SystemExit) as end:
        failing(error)
    told = capsys.readouterr()
    assert end.value.code == code
    assert told.out == ""
    assert told.err.startswith(line)
    assert told.err.count("\n") == bool(line)


def test_a_defect_shows_its_traceback_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_TRACEBACK", "1")
    with pytest.raises(KeyError, match="x"):
        failing(KeyError("x"))


def test_nothing_is_told_where_nothing_fails(capsys: Capture) -> None:
    with errors_told():
        print("done")
    with pytest.raises(SystemExit) as end, errors_told():
        raise SystemExit(7)
    assert end.value.code == 7
    assert capsys.readouterr() == ("done\n", "")


def run(program: str, stdout: int | io.TextIOWrapper) -> tuple[int, str]:
    """The exit code and stderr of `program` inside `errors_told`, with `stdout` as its stdout."""
    start = "import sys\nfrom headstart.console import errors_told\nwith errors_told():\n    "
    buffered = {name: one for name, one in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", start + program],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=buffered,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("size", [10, 10_000_000])
def test_a_reader_that_has_gone_ends_it_quietly(size: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(f"print('x' * {size})", writer) == (141, "")
    finally:
        os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("size", [10, 10_000_000])
def test_a_full_disk_is_told_once(size: int) -> None:
    with Path("/dev/full").open("w") as full:
        code, told = run(f"print('x' * {size})", full)
    assert code == 2
    assert told.startswith("Error: The system refused: No space left on device.")
    assert told.count("\n") == 1


def test_results_come_out_before_an_error(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        code, _ = run("print('first'); raise MemoryError", file)
    assert (code, (tmp_path / "out").read_text()) == (2, "first\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Küche, 猫", "plain, Küche, 猫"),
        ("two\nlines", "two\nlines"),
        ("bell\a and \x1b[31mred\r", "bell\\x07 and \\x1b[31mred\\r"),
        ("bad \udcff", "bad \\xff"),
        ("turned \u202egpj.exe", "turned \\u202egpj.exe"),
        ("e\u0301 stays", "e\u0301 stays"),
    ],
)
def test_displayable(text: str, shown: str) -> None:
    assert displayable(text) == shown


def test_print_json(capsys: Capture) -> None:
    values = {"path": "a\n\x1b\u202e", "n": [1, None, 0.5]}
    print_json(values)
    told = capsys.readouterr().out
    assert json.loads(told) == values
    assert told.isascii()
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"accuracy": float("nan")})


Clock = Callable[[float], None]


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Seconds pass only when the test says so."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_lines_where_stderr_is_no_terminal(capsys: Capture, pass_time: Clock) -> None:
    with progress_shown(), progress.stage("features", 100) as stage:
        for _ in range(3):
            pass_time(4)
            stage.advance(10)
        progress.remark("cache", "was\ndamaged")
    told = capsys.readouterr()
    assert told.err == "features: 20 of 100, 32 s left\ncache: was\\ndamaged\n"
    assert told.out == ""


def test_short_work_and_work_of_unknown_length_give_no_line(
    capsys: Capture, pass_time: Clock
) -> None:
    with progress_shown():
        with progress.stage("read", 10) as stage:
            stage.advance(10)
        with progress.stage("split") as stage:
            pass_time(60)
            stage.advance()
    assert capsys.readouterr() == ("", "")


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> FakeTerminal:
    """Make stderr a terminal; no fixture, for pytest renews sys.stderr between setup and call."""
    fake = FakeTerminal()
    monkeypatch.setattr("sys.stderr", fake)
    monkeypatch.setenv("TERM", "xterm")
    return fake


def test_bars_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with progress_shown(), progress.stage("features [red]", 4) as stage:
        stage.advance(4)
        progress.remark("cache", "[bold]was damaged\x1b[2J")
    shown = terminal.getvalue()
    assert "features" in shown
    assert "4/4" in shown
    assert "cache: [bold]was damaged\\x1b[2J" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (progress.Event("work", 1, 4, seconds_left=41.6), r"1/4.*42 s left"),
        (progress.Event("work", 3), r"3/\?"),
        (progress.Event("work", 0, 0, finished=True), r"1/1"),
        (progress.Event("work", 3, 4, finished=True), r"3/4"),
        (progress.Event("work", 5, 4, finished=True), r"5/5"),
    ],
)
def test_a_bar_shows_the_last_event(
    monkeypatch: pytest.MonkeyPatch, event: progress.Event, shown: str
) -> None:
    terminal = open_terminal(monkeypatch)
    bars = console._Bars()
    bars.hear(progress.Event("work", 0, event.total))
    bars.hear(event)
    bars.close()
    assert re.search(shown, terminal.getvalue())


@pytest.mark.parametrize("listener", [console._Bars, console._Lines])
def test_figures_are_passed_over(monkeypatch: pytest.MonkeyPatch, listener: type) -> None:
    terminal = open_terminal(monkeypatch)
    shown = listener()
    shown.hear(progress.Event("fine-tune", figures={"epoch": 1, "train_loss": 0.5}))
    shown.close()
    assert "fine-tune" not in terminal.getvalue()


@pytest.mark.parametrize("total", [0, 4])
def test_an_error_puts_the_terminal_right(monkeypatch: pytest.MonkeyPatch, total: int) -> None:
    terminal = open_terminal(monkeypatch)
    with (
        pytest.raises(HeadstartError, match="broken"),
        progress_shown(),
        progress.stage("work", total),
    ):
        raise HeadstartError("broken")
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


def test_results_for_a_file_do_not_go_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    terminal = open_terminal(monkeypatch)
    with progress_shown(), progress.stage("predict", 1):
        print("a.jpg: rose 0.9")
    assert capsys.readouterr().out == "a.jpg: rose 0.9\n"
    assert "rose" not in terminal.getvalue()
