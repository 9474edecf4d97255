from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_command
from scipy.stats import binomtest
from tiny_run import CLASSES, RECIPE, fresh_cache, make_mixed_folder, trained

from headstart.bundle import load
from headstart.comparison import Comparison, compare, difference_interval, mcnemar
from headstart.errors import DatasetError, HeadstartError
from headstart.training import fit


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another bundle, trained on other images of the same classes, in another order."""
    place = tmp_path_factory.mktemp("other")
    with pytest.MonkeyPatch.context() as patch:
        fresh_cache(patch, place / "cache")
        photos = make_mixed_folder(place / "photos", CLASSES[::-1], seed=3)
        fit(photos, replace(RECIPE, seed=1), out=place / "bundle")
    return place / "bundle"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Images that neither has seen."""
    return make_mixed_folder(tmp_path / "new", CLASSES, seed=9)


def right(bundle: Path, paths: list[Path]) -> list[bool]:
    found = load(bundle).predict(paths)
    return [one.label == path.parent.name for one, path in zip(found, paths, strict=True)]


def test_two_bundles_on_new_images(other: Path, new: Path) -> None:
    result = compare(trained().bundle, other, new)
    paths = sorted(new.rglob("*.png"))
    names = [path.relative_to(new).as_posix() for path in paths]
    first, second = (np.array(right(one, paths)) for one in (trained().bundle, other))
    assert (result.a.right, result.b.right) == (first.sum(), second.sum())
    assert list(result.a.alone) == [names[at] for at in np.flatnonzero(first & ~second)]
    assert list(result.b.alone) == [names[at] for at in np.flatnonzero(second & ~first)]
    assert list(result.neither) == [names[at] for at in np.flatnonzero(~first & ~second)]
    assert result.difference == pytest.approx(second.mean() - first.mean())
    assert result.low < result.difference < result.high
    assert (result.a.seen, result.b.seen, result.unseen, result.images) == (0, 0, None, 60)
    assert "Warning" not in result.summary()


def test_with_itself_on_what_it_has_seen() -> None:
    bundle = trained().bundle
    result = compare(bundle, str(bundle), trained().photos)
    assert (result.difference, result.p_value, result.a.alone) == (0.0, 1.0, ())
    assert result.a == result.b
    assert not result.beyond_chance
    assert result.a.seen == 48
    assert result.unseen is not None
    assert (result.unseen.images, result.unseen.a.seen) == (12, 0)
    text = result.summary()
    assert "Warning: A was trained on 48 of these images, so it looks better here" in text
    assert "On the 12 images that neither was trained on:" in text
    assert "no more than chance gives (McNemar's test, p = 1)" in text


def test_what_one_of_them_has_seen(other: Path) -> None:
    result = compare(trained().bundle, other, trained().photos)
    assert (result.a.seen, result.b.seen) == (48, 0)
    assert result.unseen is not None
    assert result.unseen.images == 12
    assert "B was trained on" not in result.summary()


def marks(both: int, first: int, second: int, neither: int) -> tuple[Any, Any]:
    a = np.repeat([True, True, False, False], [both, first, second, neither])
    b = np.repeat([True, False, True, False], [both, first, second, neither])
    return a, b


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [(0, 0, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (3, 12, 0.03515625), (500, 500, 1.0)],
)
def test_mcnemar(first: int, second: int, p_value: float) -> None:
    found = mcnemar(*marks(80, first, second, 9))
    assert found == pytest.approx(p_value)
    if first + second:
        assert found == pytest.approx(binomtest(second, first + second).pvalue)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [((80, 3, 12, 5), 0.0109, 0.1656), ((10, 0, 0, 0), -0.2310, 0.2310)],
)
def test_the_interval_of_the_difference(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    assert difference_interval(*marks(*counts)) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("true", [0.0, 0.1])
def test_the_interval_holds_the_true_difference(true: float) -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(1000):
        drawn = rng.choice(4, 60, p=[0.6, 0.1, 0.1 + true, 0.2 - true])
        low, high = difference_interval(drawn < 2, (drawn == 0) | (drawn == 2))
        held.append(low <= true <= high)
    assert 0.93 <= np.mean(held) <= 0.985


def test_the_dictionary_is_json(other: Path, new: Path) -> None:
    result = compare(trained().bundle, other, new)
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert values["a"]["bundle"] == str(trained().bundle)
    assert values["a"]["alone"] == list(result.a.alone)
    assert (values["unseen"], values["beyond_chance"]) == (None, result.beyond_chance)


def test_a_difference_beyond_chance_is_told(other: Path, new: Path) -> None:
    result: Comparison = replace(compare(trained().bundle, other, new), p_value=0.01)
    assert "more than chance would give (McNemar's test, p = 0.01)" in result.summary()


def test_the_command(
    other: Path, new: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (new / "roses" / "00.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert run_command(monkeypatch, "compare", trained().bundle, other, new) == 0
    text = capsys.readouterr().out
    assert re.search(r"^B - A: [+-]\d+\.\d points", text, re.MULTILINE)
    assert text.endswith("1 files skipped; --json lists them.\n")
    assert run_command(monkeypatch, "compare", trained().bundle, other, new, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values == compare(trained().bundle, other, new).to_dict()
    assert values["images"] == 59


def test_what_cannot_be_compared(other: Path, new: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"missing' is no bundle: "):
        compare(trained().bundle, tmp_path / "missing", new)
    shutil.move(new / "roses", new / "peonies")
    with pytest.raises(DatasetError, match="does not know these classes: peonies"):
        compare(trained().bundle, other, new)
