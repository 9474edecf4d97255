"""Where the images of a bundle lie: noted in the cache, not in the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_run import trained

from headstart.bundle import read_about
from headstart.origin import MOST, drawn, note_origin, read_origin


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_saved_run_is_found_again(tmp_path: Path) -> None:
    run = trained().run
    bundle = run.save(tmp_path / "bundle")
    found = read_origin(read_about(bundle)["checksum"])
    assert sorted(found["validation"]) == sorted(run.files["validation"])
    assert sorted(found["train"]) == sorted(run.files["train"])
    told = b"".join(path.read_bytes() for path in bundle.iterdir())
    assert str(trained().photos).encode() not in told


def test_only_some_of_many_and_those_still_there(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(MOST + 50)]
    for path in paths[: MOST + 10]:
        path.touch()
    note_origin("abc", {"train": [(path, "a") for path in paths], "validation": [(paths[0], "b")]})
    found = read_origin("abc")
    assert found["validation"] == [(paths[0], "b")]
    assert MOST - 50 < len(found["train"]) < MOST


def test_the_first_that_are_drawn_are_of_all_classes() -> None:
    files = [(Path(f"{number}.png"), f"class {number // 100}") for number in range(500)]
    found = drawn(files)
    assert len(found) == len(set(found)) == MOST
    assert {name for _, name in found[:20]} == {name for _, name in files}
    assert found == drawn(files)


@pytest.mark.parametrize("text", ["", "[]", '{"train": 3}', '{"train": [], "validation": [[1]]}'])
def test_no_note_is_no_error(text: str, cache: Path) -> None:
    note_origin("abc", {"train": [], "validation": []})
    (place,) = cache.rglob("abc.json")
    place.write_text(text)
    assert read_origin("abc") == {}


def test_a_hostile_checksum_stays_in_the_cache(cache: Path) -> None:
    note_origin("../../../x", {"train": [], "validation": []})
    (place,) = cache.rglob("*.json")
    assert place.name == "x.json"
    assert json.loads(place.read_text()) == {"train": [], "validation": []}
