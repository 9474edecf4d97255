"""Many files at once: broken ones among them, loops within loops, threads, and leaving early."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from test_classifier import close
from tiny_run import trained

from headstart import classifier as module
from headstart.answers import Prediction, Unreadable
from headstart.bundle import load
from headstart.classifier import Classifier
from headstart.prefix import Prefix


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load(trained().bundle)


@pytest.fixture(scope="module")
def paths() -> list[Path]:
    return trained().paths


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A PNG that is cut off."""
    (tmp_path / "broken.png").write_bytes(trained().paths[0].read_bytes()[:500])
    return tmp_path / "broken.png"


@pytest.mark.parametrize("batch", [1, 4, 256])
def test_broken_files_do_not_stop_the_others(
    classifier: Classifier,
    paths: list[Path],
    broken: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    monkeypatch.setattr(module, "_BATCH", batch)
    missing = broken.with_name("missing.png")
    given = [broken, *paths[:7], missing, broken, *paths[7:], broken]
    found = list(classifier.predict_files(iter(given)))
    assert [one.source for one in found] == [str(path) for path in given]
    bad = [one for one in found if isinstance(one, Unreadable)]
    assert [one.source for one in bad] == [str(broken), str(missing), str(broken), str(broken)]
    assert bad[0].reason.startswith("broken: ")
    assert bad[1].reason == "cannot be read: No such file or directory"
    good = [one for one in found if isinstance(one, Prediction)]
    assert all(map(close, good, classifier.predict(paths)))


def test_nothing_but_broken_files(classifier: Classifier, broken: Path) -> None:
    assert [type(one) for one in classifier.predict_files([broken] * 3)] == [Unreadable] * 3


def test_files_may_be_predicted_within_a_loop_over_files(
    classifier: Classifier, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 3)
    outer = []
    for one in classifier.predict_files(paths):
        assert isinstance(one, Prediction)
        assert close(classifier.predict(one.source), one)
        inner = next(iter(classifier.predict_files([one.source])))
        assert isinstance(inner, Prediction)
        outer.append(one.source)
    assert outer == [str(path) for path in paths]


def test_several_threads_at_once(
    classifier: Classifier, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = load(trained().bundle)  # whose engine is not started yet
    expected = classifier.predict(paths)
    opened: list[Prefix] = []
    start = Prefix.open

    def slowly(self: Prefix, threads: int) -> Any:
        opened.append(self)
        time.sleep(0.1)
        return start(self, threads)

    monkeypatch.setattr(Prefix, "open", slowly)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: fresh.predict(paths), range(8)))
    for found in results:
        assert all(map(close, found, expected))
    assert len(opened) == 1


def test_a_loop_that_is_left_half_way(
    classifier: Classifier, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    taken = []

    def many() -> Any:
        for path in paths * 50:
            taken.append(path)
            yield path

    before = threading.active_count()
    for _ in range(3):
        answers = classifier.predict_files(many())
        next(answers)
        del answers
        gc.collect()
    assert threading.active_count() == before
    assert len(taken) < 3 * len(paths)  # it does not run ahead
    assert all(map(close, classifier.predict(paths), classifier.predict(paths)))


def test_an_error_of_the_callers_paths_comes_through(
    classifier: Classifier, paths: list[Path]
) -> None:
    def failing() -> Any:
        yield from paths[:3]
        raise RuntimeError("the list ended early")

    with pytest.raises(RuntimeError, match="the list ended early"):
        list(classifier.predict_files(failing()))
