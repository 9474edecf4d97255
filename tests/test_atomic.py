from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from headstart import atomic

# Writes again and again, each time killed one line of atomic.py later, until a write is not killed;
# prints what stood after each kill: the content of the target, and the names beside it.
KILLER = """
import json, os, shutil, signal, sys
from pathlib import Path
from headstart import atomic

place, kind, exchanges = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True"
if not exchanges:
    atomic._exchange = lambda one, other: False
os.fsync = lambda descriptor: None  # slow, and of no matter where the system itself goes on
target = place / "x"

def write(content):
    if kind == "file":
        atomic.write_file(target, content)
        return
    with atomic.new_folder(target) as aside:
        (aside / "deep").mkdir()
        (aside / "deep" / "a").write_text(content)

def killed_at(step):
    left = [step]
    def trace(frame, event, argument):
        if frame.f_code.co_filename != atomic.__file__:
            return None
        left[0] -= event == "line"
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    child = os.fork()
    if not child:
        sys.settrace(trace)
        write("new")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

states, step, running = [], 0, True
while running:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if sys.argv[4] == "True":
        write("old")
    running = killed_at(step)
    path = target if kind == "file" else target / "deep" / "a"
    content = path.read_text() if path.exists() else None
    states.append([content, [one.name for one in place.iterdir()]])
    write("again")
    step += 1
print(json.dumps(states))
"""


def killed(
    place: Path, kind: str, exchanges: bool, there: bool
) -> list[tuple[str | None, list[str]]]:
    arguments = [str(place), kind, str(exchanges), str(there)]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, *arguments], capture_output=True, text=True, check=True
    )
    return [(content, names) for content, names in json.loads(done.stdout)]


def can_exchange(place: Path) -> bool:
    for name in ("one", "other"):
        (place / name).mkdir()
    return atomic._exchange(place / "one", place / "other")


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("there", [True, False])
def test_a_kill_at_any_line_leaves_the_old_or_the_new(
    tmp_path: Path, kind: str, there: bool
) -> None:
    if not can_exchange(tmp_path):
        pytest.skip("this file system cannot exchange two folders")
    states = killed(tmp_path / "place", kind, True, there)
    contents = [content for content, _ in states]
    old = "old" if there else None
    assert len(states) > 10
    assert contents == sorted(contents, key=lambda one: one == "new")
    assert set(contents) == {old, "new"}
    beside = {name for _, names in states for name in names} - {"x"}
    assert all(name.startswith(".x.") and name.endswith(".partial") for name in beside)
    assert states[-1] == ("new", ["x"])


def test_without_an_exchange_the_old_folder_is_never_lost(tmp_path: Path) -> None:
    states = killed(tmp_path / "place", "folder", False, True)
    lost = [names for content, names in states if content is None]
    assert {content for content, _ in states} == {"old", "new", None}
    assert all(len(names) == 2 for names in lost)
    assert states[-1] == ("new", ["x"])


def test_write_file_replaces(tmp_path: Path) -> None:
    target = tmp_path / "x"
    atomic.write_file(target, "old")
    atomic.write_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_reader_keeps_the_file_that_it_has_opened(tmp_path: Path) -> None:
    target = tmp_path / "x"
    atomic.write_file(target, "old")
    with target.open() as reader:
        atomic.write_file(target, "new")
        assert reader.read() == "old"


def test_text_is_utf8(tmp_path: Path) -> None:
    atomic.write_file(tmp_path / "x", "Küche\n")
    assert (tmp_path / "x").read_bytes() == b"K\xc3\xbcche\n"


def test_an_error_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x"
    atomic.write_file(target, "old")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        atomic.write_file(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_content_is_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace = Path.replace

    def recorded(self: Path, to: Path) -> Path:
        steps.append("replace")
        return replace(self, to)

    monkeypatch.setattr("os.fsync", lambda descriptor: steps.append("fsync"))
    monkeypatch.setattr(Path, "replace", recorded)
    atomic.write_file(tmp_path / "x", "new")
    assert steps == ["fsync", "replace", "fsync"]


def test_all_of_a_folder_is_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    target = tmp_path / "x"
    monkeypatch.setattr(atomic, "_sync", lambda path: synced.append((path.name, target.exists())))
    with atomic.new_folder(target) as aside:
        (aside / "deep").mkdir()
        (aside / "deep" / "file").write_text("new")
        own = aside.name
    assert sorted(synced[:-1]) == sorted([("deep", False), ("file", False), (own, False)])
    assert synced[-1] == (tmp_path.name, True)


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


def fill(target: Path, content: str, *, then: Exception | None = None) -> None:
    with atomic.new_folder(target) as aside:
        (aside / "file").write_text(content)
        if then is not None:
            raise then


@pytest.mark.parametrize("exchanges", [True, False])
def test_new_folder_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    target = tmp_path / "deep" / "x"
    for content in ("old", "new"):
        fill(target, content)
    assert (target / "file").read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")
    fill(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"real", "link"}


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "x"
    fill(target, "old")
    with pytest.raises(RuntimeError, match="in the middle"):
        fill(target, "new", then=RuntimeError("in the middle"))
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_refused_rename_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x"
    fill(target, "old")
    rename = Path.rename
    calls: list[Path] = []

    def refused_once(self: Path, to: Path) -> Path:
        calls.append(to)
        if len(calls) == 2:
            refuse()
        return rename(self, to)

    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", refused_once)
    with pytest.raises(OSError, match="No space left"):
        fill(target, "new")
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_never_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file")
    with pytest.raises(NotADirectoryError):
        fill(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "a file"
    assert len(list(tmp_path.iterdir())) == 1
