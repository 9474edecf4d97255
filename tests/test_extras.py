from __future__ import annotations

from pathlib import Path

import pytest

from headstart import extras
from headstart.errors import HeadstartError, MissingExtra

INSTALL = r'\. Install it with: pip install "headstart\[heic\]"$'


@pytest.mark.parametrize("module", ["json", "json.decoder"])
def test_installed(module: str) -> None:
    assert extras.require(module, "heic", "tests").__name__ == module


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.module"])
def test_missing_names_the_extra(module: str) -> None:
    message = "'no_such_package' is needed for HEIC images and is not installed"
    with pytest.raises(MissingExtra, match=message + INSTALL):
        extras.require(module, "heic", "HEIC images")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
        ("raise ImportError('libheif is too old')", "libheif is too old"),
    ],
)
def test_what_does_not_load_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    (tmp_path / "broken_package.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtra, match=f"HEIC images and does not load: {why}" + INSTALL):
        extras.require("broken_package", "heic", "HEIC images")


def test_a_missing_extra_is_both_kinds_of_error() -> None:
    assert issubclass(MissingExtra, HeadstartError)
    assert issubclass(MissingExtra, ImportError)
