from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from feature_rows import head_digest, make_data
from threadpoolctl import threadpool_info, threadpool_limits

from headstart import heads as module
from headstart.errors import HeadstartError
from headstart.heads import HeadFit, TrainingData, fit_head


def digest(fitted: HeadFit) -> str:
    return head_digest(fitted.head)


def large() -> TrainingData:
    """Enough for BLAS to give other bits with other numbers of threads."""
    return make_data([150, 101, 77, 33, 90], 700, noise=4.0)


@pytest.mark.parametrize(
    ("asked", "counts", "kind"),
    [
        ("auto", [3, 3], "prototype"),
        ("auto", [9, 9], "linear"),
        ("linear", [3, 3], "linear"),
        ("prototype", [9, 9], "prototype"),
    ],
)
def test_the_kind_of_head(asked: str, counts: list[int], kind: str) -> None:
    assert fit_head(asked, make_data(counts, 10)).head.kind == kind


def test_an_unknown_head() -> None:
    with pytest.raises(HeadstartError, match=r"no head 'tree'\. Expected one of: auto, linear, m"):
        fit_head("tree", make_data([3, 3], 10))


@pytest.mark.parametrize("kind", ["linear", "prototype"])
def test_an_unknown_class_weight(kind: str) -> None:
    with pytest.raises(HeadstartError, match=r"no class weight 'even'\. Expected one of: auto, b"):
        fit_head(kind, make_data([3, 3], 10), class_weight="even")


def threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.mark.parametrize("kind", ["linear", "prototype"])
def test_bit_for_bit_with_any_number_of_threads(kind: str) -> None:
    found = set()
    for count in (1, 2, 2, 4):
        with threadpool_limits(count, "blas"):
            found.add(digest(fit_head(kind, large(), seed=3)))
            assert threads() == {count}  # as it was
    assert len(found) == 1


def test_threads_are_used_where_there_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[set[int]] = []

    def fit(data: TrainingData, **_: object) -> None:
        used.append(threads())

    monkeypatch.setattr("headstart.heads.linear.fit_linear", fit)
    data = make_data([9, 9, 9], 10)
    with threadpool_limits(2, "blas"):
        for most in (27 * 10 * 3, 27 * 10 * 3 - 1):
            monkeypatch.setattr(module, "_ONE_THREAD", most)
            fit_head("linear", data)
    assert used == [{1}, {2}]


def test_the_seed_draws_the_folds() -> None:
    data = make_data([30, 30], 20, noise=3.0)
    losses = {fit_head("linear", data, seed=seed).details["cv_log_loss"] for seed in (0, 0, 1)}
    assert len(losses) == 2


PROGRAM = """
import sys
sys.path.insert(0, "tests")
from test_heads import digest, fit_head, large, threads
from headstart import progress
before, used = set(sys.modules), set()
with progress.listen(lambda _: used.update(threads())):
    print(digest(fit_head("linear", large(), seed=3)), digest(fit_head("prototype", large())))
print(*set(sys.modules) - before)
print(*used)
"""


@pytest.mark.parametrize("count", ["1", "2"])
def test_bit_for_bit_in_another_process(count: str) -> None:
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **dict.fromkeys(names, count)},
    )
    digests, imported, used = done.stdout.splitlines()
    expected = [digest(fit_head(kind, large(), seed=3)) for kind in ("linear", "prototype")]
    assert digests.split() == expected
    loaded = {name.partition(".")[0] for name in imported.split()}
    assert "scipy" in loaded
    assert used == "1"
    assert not loaded & {"tensorflow", "keras", "sklearn", "openvino"}


@pytest.mark.parametrize("kind", ["linear", "prototype"])
def test_details_are_json(kind: str) -> None:
    details = fit_head(kind, make_data([9, 9], 10)).details
    assert json.loads(json.dumps(details, allow_nan=False)) == details
    assert np.isfinite(details["cv_log_loss"])
