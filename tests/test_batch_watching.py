"""A folder that is watched: images on their way, broken ones, changed ones, and the end."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest
from batch_material import GIF, Classify, make_files
from tiny_run import trained

from headstart.batch.appending import appended
from headstart.batch.columns import Answer, Columns
from headstart.batch.journal import lock
from headstart.batch.watching import Patience, Watcher, watch_folder
from headstart.errors import HeadstartError

QUICK = Patience(look=0.02, still=0.3)


@contextmanager
def watched(
    folder: Path, skip: Callable[[str], bool] = lambda path: False
) -> Iterator[Callable[[], str]]:
    """Watch in a thread; what is given waits for the next answer, and gives its file's name."""
    found: Queue[Answer] = Queue()
    stop = threading.Event()

    def run() -> None:
        for one in watch_folder(Classify(), Watcher(folder, skip), stop.is_set, QUICK):
            found.put(one)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: Path(found.get(timeout=10).source).name
    finally:
        stop.set()
        thread.join()
    assert found.empty()


def test_what_lies_there_and_what_comes(tmp_path: Path) -> None:
    make_files(tmp_path, "b.gif", "a.gif", "notes.txt", ".hidden.gif")
    with watched(tmp_path) as found:
        assert [found(), found()] == ["a.gif", "b.gif"]
        make_files(tmp_path, "new/c.gif")
        assert found() == "c.gif"


def test_a_file_is_waited_for_while_it_grows(tmp_path: Path) -> None:
    with watched(tmp_path) as found, (tmp_path / "a.gif").open("wb") as file:
        file.write(GIF)
        for _ in range(20):
            file.write(b"x" * 100)
            file.flush()
            time.sleep(0.01)
            size = file.tell()
        assert found() == "a.gif"
        assert size == len(GIF) + 2000


def test_a_changed_file_is_answered_again(tmp_path: Path) -> None:
    make_files(tmp_path, "a.gif")
    with watched(tmp_path) as found:
        assert found() == "a.gif"
        (tmp_path / "a.gif").write_bytes(GIF + b"more")
        assert found() == "a.gif"
        (tmp_path / "a.gif").unlink()
        time.sleep(0.1)
        make_files(tmp_path, "a.gif")
        assert found() == "a.gif"


def test_a_file_that_cannot_be_read_is_told_once_and_late(tmp_path: Path) -> None:
    with watched(tmp_path) as found:
        start = time.monotonic()
        make_files(tmp_path, "bad.gif")
        assert found() == "bad.gif"
        assert time.monotonic() - start >= QUICK.still
        time.sleep(0.1)  # `watched` sees that it does not come again


def test_what_is_known_is_left_out_until_it_changes(tmp_path: Path) -> None:
    make_files(tmp_path, "a.gif", "b.gif")
    with watched(tmp_path, skip=lambda path: path.endswith("a.gif")) as found:
        assert found() == "b.gif"
        (tmp_path / "a.gif").write_bytes(GIF + b"more")
        assert found() == "a.gif"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"cannot be watched: No such file"):
        next(watch_folder(Classify(), Watcher(tmp_path / "none"), lambda: False))


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_rows_are_appended(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    for name, before in (("a.gif", set()), ("b.gif", {"a.gif"}), ("c.gif", {"a.gif", "b.gif"})):
        with appended(out, Columns()) as file:
            assert file.paths == before
            assert len(list(file.passing(Classify()([name])))) == 1
            assert rows(out)[-1][0] == name  # on the disk at once
        out.write_bytes(out.read_bytes() + b"half,a row")
    assert [row[0] for row in rows(out)[:4]] == ["path", "a.gif", "b.gif", "c.gif"]


@pytest.mark.parametrize("text", ["name,price\nx,1\n", "mine", "path,label\rx,1\r"])
def test_appending_to_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_bytes(text.encode())
    with (
        pytest.raises(HeadstartError, match=r"has other columns\. Expected a file that the same"),
        appended(tmp_path / "out.csv", Columns()),
    ):
        pass
    assert (tmp_path / "out.csv").read_bytes() == text.encode()


def test_a_header_that_was_written_half_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("path,lab")
    with appended(tmp_path / "out.csv", Columns()) as file:
        assert not file.paths
    assert (tmp_path / "out.csv").read_text().startswith("path,label,probability,")


def test_two_may_not_append_to_one_file(tmp_path: Path) -> None:
    with (tmp_path / "out.csv").open("wb") as other:
        lock(other, tmp_path / "out.csv")
        with (
            pytest.raises(HeadstartError, match="is being written by another process"),
            appended(tmp_path / "out.csv", Columns()),
        ):
            pass


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_the_command(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    first, second, third = (path.read_bytes() for path in trained().paths[:3])
    (inbox / "1.png").write_bytes(first)
    command = [sys.executable, "-m", "headstart", "predict", str(trained().bundle)]
    command += ["--watch", str(inbox), "--csv", str(tmp_path / "out.csv")]
    command += ["--sort-into", str(tmp_path / "sorted"), "--sure", "0"]
    for known, new in ((0, second), (2, third)):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            before = lines(process, 0 if known else 1)
            (inbox / f"{known + 2}.png").write_bytes(new)
            told = before + lines(process, 1)
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=20)
        assert (process.returncode, rest) == (130, ""), errors
        assert errors == f"Stopped: {len(told)} images classified, 0 could not be read.\n"
    names = [Path(row[0]).name for row in rows(tmp_path / "out.csv")[1:]]
    assert names == ["1.png", "2.png", "4.png"]
    links = [path.name for path in (tmp_path / "sorted").rglob("*.png")]
    assert sorted(links) == names


def test_the_command_as_json_lines(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(trained().paths[0].read_bytes())
    command = [sys.executable, "-m", "headstart", "predict", str(trained().bundle)]
    with subprocess.Popen(
        [*command, "--watch", str(tmp_path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        (line,) = lines(process, 1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert json.loads(line)["path"] == str(tmp_path / "1.png")
