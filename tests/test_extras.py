from __future__ import annotations

import pytest

from headstart import extras
from headstart.errors import MissingExtra


def test_installed() -> None:
    assert extras.require("json", "heic", "tests").loads("1") == 1


def test_missing_names_the_extra() -> None:
    with pytest.raises(
        MissingExtra, match=r'needed for HEIC images .* pip install "headstart\[heic\]"'
    ):
        extras.require("no_such_package.module", "heic", "HEIC images")
