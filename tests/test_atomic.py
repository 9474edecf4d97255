from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headstart import atomic

KILLED = """
import os, signal, sys
from pathlib import Path
from headstart import atomic
target = Path(sys.argv[1])
if sys.argv[2] == "folder":
    with atomic.new_folder(target) as aside:
        (aside / "a").write_text("new")
        os.kill(os.getpid(), signal.SIGKILL)
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
atomic.write_file(target, "new")
"""


def test_write_file_replaces(tmp_path: Path) -> None:
    target = tmp_path / "x"
    atomic.write_file(target, "old")
    atomic.write_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_new_folder_replaces(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "x"
    for content in ("old", "new"):
        with atomic.new_folder(target) as aside:
            (aside / "file").write_text(content)
    assert (target / "file").read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "x"
    with atomic.new_folder(target) as aside:
        (aside / "file").write_text("old")
    with pytest.raises(RuntimeError), atomic.new_folder(target) as aside:
        (aside / "file").write_text("new")
        raise RuntimeError
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_leaves_the_old(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "x"
    if kind == "folder":
        target.mkdir()
    (target / "a" if kind == "folder" else target).write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), kind], check=False)
    assert done.returncode == -9
    assert (target / "a" if kind == "folder" else target).read_text() == "old"
