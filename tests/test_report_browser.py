"""The report in headless Chromium; skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browse import SCHEMES, WIDTHS, accessibility, on_paper, visit
from report_material import full_material
from test_report_page import HOSTILE, hostile_material

from headstart.reporting.material import Material
from headstart.reporting.page import SECTIONS, page


def written(folder: Path, material: Material) -> Path:
    path = folder / "report.html"
    path.write_text(page(material), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_asks_for_nothing_and_fits(
    running: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    names = ("a" * 60, "two words", "*" * 300)
    seen = visit(running, written(tmp_path, full_material(names)), width, scheme)
    assert (seen.requests, seen.messages, seen.overflow) == ([], [], 0)
    assert len(seen.sections) == len(SECTIONS)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_do_nothing(running: Any, tmp_path: Path, text: str) -> None:
    seen = visit(running, written(tmp_path, hostile_material(text)), WIDTHS[0], "light")
    assert (seen.requests, seen.messages) == ([], [])
    assert "usage" in seen.sections


def test_a_page_that_asks_and_complains_is_noticed(running: Any, tmp_path: Path) -> None:
    wide = '<!DOCTYPE html><img src="http://127.0.0.1:9/a.png"><p style="width:9000px">wide'
    (tmp_path / "page.html").write_text(wide, encoding="utf-8")
    seen = visit(running, tmp_path / "page.html", WIDTHS[0], "light")
    assert seen.requests == ["http://127.0.0.1:9/a.png"]
    assert "Failed to load resource" in seen.messages[0]
    assert seen.overflow > 8000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious(running: Any, tmp_path: Path, scheme: str) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<p style="color:#ccc">pale</p><img src="data:,">', encoding="utf-8")
    assert any("image-alt" in one for one in accessibility(running, bad, scheme))
    assert accessibility(running, written(tmp_path, full_material()), scheme) == []


def test_it_can_be_printed(running: Any, tmp_path: Path) -> None:
    on_paper(running, written(tmp_path, full_material()), tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
