"""The `headstart` command in this process."""

from __future__ import annotations

import pytest

from headstart import cli


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> object:
    """Run a command; gives its exit code."""
    monkeypatch.setattr("sys.argv", ["headstart", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0
