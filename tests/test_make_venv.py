"""When .venv is made, brought up to date, or left as it is; nothing is installed here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import make_venv
import pytest

PYPROJECT = """
[build-system]
requires = []
[project]
name = "x"
version = "1"
[tool.ruff]
line-length = 100
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "lock.txt").write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    return tmp_path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that would have been run, by the word that tells them apart."""
    made: list[str] = []

    def call(command: list[str]) -> None:
        words = {"venv", "--requirement", "--editable", "check"} & set(command)
        made.append(words.pop().strip("-"))
        if "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(make_venv, "call", call)
    return made


FULL = ["venv", "requirement", "editable", "check"]


def test_made_once(root: Path, calls: list[str]) -> None:
    make_venv.bring_up_to_date(root)
    assert calls == FULL
    make_venv.bring_up_to_date(root)
    assert calls == FULL


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("requirements/lock.txt", "a==1", "a==2", FULL),
        (".venv/stamp.json", "{", "", FULL),
        ("pyproject.toml", 'version = "1"', 'version = "2"', ["editable", "check"]),
        ("pyproject.toml", "line-length = 100", "line-length = 99", []),
    ],
)
def test_what_a_change_brings(
    root: Path, calls: list[str], file: str, old: str, new: str, expected: list[str]
) -> None:
    make_venv.bring_up_to_date(root)
    calls.clear()
    path = root / file
    path.write_text(path.read_text().replace(old, new, 1))
    make_venv.bring_up_to_date(root)
    assert calls == expected


def test_a_moved_folder_gets_a_new_venv(root: Path, calls: list[str]) -> None:
    make_venv.bring_up_to_date(root)
    calls.clear()
    moved = root.rename(root.with_name("moved"))
    make_venv.bring_up_to_date(moved)
    assert calls == FULL


def test_half_made_is_made_anew(
    root: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str]) -> None:
        (root / ".venv").mkdir(exist_ok=True)
        (root / ".venv" / "half").touch()
        raise make_venv.InstallError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(make_venv, "call", fail)
        with pytest.raises(make_venv.InstallError, match="no network"):
            make_venv.bring_up_to_date(root)
    make_venv.bring_up_to_date(root)
    assert calls == FULL
    assert not (root / ".venv" / "half").exists()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  Downloading tensorflow-2.21.0-cp311-any.whl (573.0 MB)", "  tensorflow 2.21.0, 573 MB"),
        ("  Downloading six-1.17.0-py3-none-any.whl (11 kB)", None),
        ("Downloading gast-0.7.0-py3-none-any.whl (1.2 MB)", None),
        ("Installing collected packages: a, b, c", "  unpacking 3 packages ..."),
        ("Collecting six==1.17.0", None),
    ],
)
def test_what_is_shown(line: str, shown: str | None) -> None:
    assert make_venv.describe(line) == shown


def test_a_failed_step_tells_the_end_of_what_it_said() -> None:
    program = "for n in range(50): print('line', n)\nraise SystemExit(1)"
    with pytest.raises(make_venv.InstallError, match=r"^line 30\n(.*\n)*line 49$"):
        make_venv.call([sys.executable, "-c", program])


def test_a_failure_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(root: Path) -> None:
        raise make_venv.InstallError("ERROR: no network")

    monkeypatch.setattr(make_venv, "ROOT", tmp_path)
    monkeypatch.setattr(make_venv, "bring_up_to_date", fail)
    assert make_venv.main() == 1
    assert "ERROR: no network\n\nThe installation failed" in capsys.readouterr().err


@pytest.mark.parametrize("python", ["no-such-python", "/bin/false"])
def test_an_unfit_interpreter_is_told_once(python: str) -> None:
    done = subprocess.run(
        ["sh", "tools/venv.sh"],
        cwd=make_venv.ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"PYTHON is '{python}', which is no working Python 3.11")
    assert len(done.stderr.splitlines()) == 2
