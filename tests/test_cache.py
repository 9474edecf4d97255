from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from headstart import cache, progress
from headstart.errors import HeadstartError
from headstart.store import open_store

HOUR = 3600.0


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(root: Path, name: str, kilobytes: int = 100, hours: float = 5.0) -> Path:
    """Something kept, of a size, unused for some hours; `name` is kind/name."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(b"x" * kilobytes * 1000)
    then = time.time() - hours * HOUR
    os.utime(folder / "content", (then, then))
    os.utime(folder, (then, then))
    return folder


def names() -> list[str]:
    return [entry.name for entry in cache.entries()]


def test_nothing_is_kept_yet() -> None:
    assert cache.entries() == []
    assert cache.clear() == []
    cache.make_room("tiny")


def test_entries_are_told_largest_first(root: Path) -> None:
    make(root, "features/tiny-a", 100)
    make(root, "prefixes/tiny-b", 300, hours=2)
    (make(root, "archives/c", 100) / "deep").mkdir()
    (root / "archives" / "c" / "deep" / "more").write_bytes(b"x" * 100_000)
    (root / "features" / "file").write_text("no folder")
    make(root, "elsewhere/d")
    found = cache.entries()
    assert [(entry.kind, entry.name) for entry in found] == [
        ("prefixes", "tiny-b"),
        ("archives", "c"),
        ("features", "tiny-a"),
    ]
    assert [entry.size for entry in found] == [300_000, 200_000, 100_000]
    assert found[0].used == pytest.approx(time.time() - 2 * HOUR, abs=60)
    assert found[0].folder == root / "prefixes" / "tiny-b"
    assert [entry.records for entry in found] == [None] * 3


def test_records_are_counted(root: Path) -> None:
    with open_store(root / "features" / "tiny-a") as store:
        store.put([(b"%d" % number, b"content") for number in range(7)])
    make(root, "features/no-store")
    os.utime(root / "features" / "tiny-a" / "lock.mdb", (1, 1))
    counts = {entry.name: entry.records for entry in cache.entries(records=True)}
    assert counts == {"tiny-a": 7, "no-store": None}
    assert (root / "features" / "tiny-a" / "lock.mdb").stat().st_mtime == 1  # no use of them


def test_sparse_files_count_what_they_take(root: Path) -> None:
    with (make(root, "features/a", 10) / "content").open("ab") as file:
        file.truncate(1 << 30)
    assert cache.entries()[0].size < 1 << 20


@pytest.mark.parametrize(
    ("text", "expected"), [(None, 20e9), ("", 20e9), ("0", 0), ("1.5", 1.5e9), ("1e3", 1e12)]
)
def test_limit(monkeypatch: pytest.MonkeyPatch, text: str | None, expected: float) -> None:
    if text is not None:
        monkeypatch.setenv("HEADSTART_CACHE_LIMIT", text)
    assert cache.limit() == expected


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf", "20 GB"])
def test_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HEADSTART_CACHE_LIMIT", text)
    with pytest.raises(HeadstartError, match=rf"HEADSTART_CACHE_LIMIT is '{text}'. Expected a num"):
        cache.limit()


def test_clear_by_the_beginning_of_a_name(root: Path) -> None:
    for name in (
        "features/tiny-1",
        "features/vgg-1",
        "prefixes/tiny-2",
        "prefixes/.tiny-3.partial",
    ):
        make(root, name)
    assert {entry.name for entry in cache.clear("tiny")} == {"tiny-1", "tiny-2", ".tiny-3.partial"}
    assert names() == ["vgg-1"]


def test_clear_everything(root: Path) -> None:
    make(root, "features/tiny-1")
    make(root, "archives/b")
    assert len(cache.clear()) == 2
    assert names() == []
    assert not list(root.glob("*/*"))


@pytest.mark.parametrize(("kept", "told"), [([], "nothing"), (["b-2", "a-1"], "a-1, b-2")])
def test_clear_what_is_not_there(root: Path, kept: list[str], told: str) -> None:
    for name in kept:
        make(root, f"features/{name}")
    with pytest.raises(HeadstartError, match=rf"begins with 'tiny'. Expected one of: {told}\."):
        cache.clear("tiny")
    assert len(names()) == len(kept)


def refuse(folder: Path) -> None:
    raise PermissionError(13, "Permission denied", folder.name)


def test_clear_what_cannot_be_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, "features/tiny-1")
    monkeypatch.setattr(cache, "discard", refuse)
    with pytest.raises(HeadstartError, match=r"tiny-1' cannot be removed: Permission denied"):
        cache.clear("tiny")


@pytest.fixture
def several(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five things of 100 kB each, `e` the oldest, and a limit of 250 kB."""
    for hours, name in enumerate(("features/a", "archives/b", "prefixes/c", "features/d"), 2):
        make(root, name, hours=hours)
    make(root, "features/e-24x40-openvino", hours=9)
    monkeypatch.setenv("HEADSTART_CACHE_LIMIT", "0.00025")
    return root


def test_the_oldest_go_first(several: Path) -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        cache.make_room("new")
    assert sorted(names()) == ["a", "b"]
    assert [event.message for event in heard] == [
        f"removed {name} (0 MB) to stay within the limit" for name in ("e-24x40-openvino", "d", "c")
    ]


def test_nothing_goes_within_the_limit(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE_LIMIT", "0.0005")
    cache.make_room("new")
    assert len(names()) == 5


def test_what_the_run_needs_stays(several: Path) -> None:
    make(several, "prefixes/e-24x40-0123", hours=20)
    make(several, "prefixes/e-24x41-0123", hours=19)
    cache.make_room("e-24x40-openvino")
    assert sorted(names()) == ["e-24x40-0123", "e-24x40-openvino"]


def test_what_was_used_within_the_hour_stays(several: Path) -> None:
    os.utime(several / "features" / "d" / "content")
    make(several, "features/new", 500, hours=0.9)
    cache.make_room("other")
    assert sorted(names()) == ["d", "new"]


def test_opening_features_is_a_use(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE_LIMIT", "0")
    with open_store(root / "features" / "a"):
        pass
    for path in (root / "features" / "a").iterdir():
        os.utime(path, (1, 1))
    os.utime(root / "features" / "a", (1, 1))
    with open_store(root / "features" / "a"):
        cache.make_room("other")
    assert names() == ["a"]


def test_reading_an_archive_is_a_use(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE_LIMIT", "0")
    for kind in ("archives", "prefixes"):
        content = make(root, f"{kind}/{kind}") / "content"
        os.utime(content, (time.time(), content.stat().st_mtime))
    cache.make_room("other")
    assert names() == ["archives"]


@pytest.mark.parametrize(("hours", "stays"), [(0.5, True), (1.5, False)])
def test_what_was_left_half_done_goes(root: Path, hours: float, stays: bool) -> None:
    make(root, "prefixes/.tiny-1.abc.partial", hours=hours)
    make(root, "prefixes/tiny-1")
    cache.make_room("other")
    assert (".tiny-1.abc.partial" in names()) == stays
    assert "tiny-1" in names()


def test_what_cannot_be_removed_stops_nothing(
    several: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "discard", refuse)
    cache.make_room("new")
    assert len(names()) == 5


def test_cache_that_is_no_folder(root: Path) -> None:
    root.write_text("in the way")
    assert cache.entries() == []
    cache.make_room("new")
