from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart import engine as engines
from headstart.backbones import load_backbone
from headstart.engine import Engine, KerasEngine, OpenVINOEngine, Vector
from headstart.errors import HeadstartError
from headstart.images import Pixels
from headstart.openvino_file import convert

SIZE = (24, 40)
COUNT = 70


@pytest.fixture(scope="module")
def model() -> Any:
    return load_backbone("tiny").build(SIZE)


@pytest.fixture(scope="module")
def network(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "prefix.xml"
    convert(model, path)
    return path


@pytest.fixture(scope="module")
def images() -> list[Pixels]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (COUNT, *SIZE, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def expected(model: Any, images: list[Pixels]) -> Vector:
    return np.asarray(model.predict_on_batch(np.stack(images)), np.float32)


@pytest.fixture(params=["openvino", "keras"])
def engine(request: pytest.FixtureRequest, model: Any, network: Path) -> Engine:
    """Both engines, in float32."""
    if request.param == "keras":
        return KerasEngine(model)
    return OpenVINOEngine(network, "float32", 2)


def run(engine: Engine, images: Iterable[Pixels]) -> Vector:
    return np.array(list(engine.stream(images)))


def close(got: Vector, expected: Vector, tolerance: float) -> bool:
    """Whether no value is further away than `tolerance` of the largest."""
    return bool(np.abs(got - expected).max() <= tolerance * np.abs(expected).max())


def test_engine_equals_keras(engine: Engine, images: list[Pixels], expected: Vector) -> None:
    got = run(engine, images)
    assert got.dtype == np.float32
    assert close(got, expected, 1e-4)
    assert not close(got, np.roll(expected, 1, axis=0), 1e-2)  # the order is seen


@pytest.mark.skipif(not engines._processor_has_bfloat16(), reason="needs AVX512-BF16 or AMX")
def test_bfloat16_is_near(network: Path, images: list[Pixels], expected: Vector) -> None:
    got = run(OpenVINOEngine(network, "bfloat16"), images)
    assert close(got, expected, 3e-2)
    assert not close(got, expected, 1e-4)  # it is bfloat16 indeed


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 64])
def test_any_number(engine: Engine, images: list[Pixels], expected: Vector, count: int) -> None:
    got = list(engine.stream(images[:count]))
    assert len(got) == count
    assert all(close(vector, row, 1e-4) for vector, row in zip(got, expected[:count], strict=True))


def hesitant(images: list[Pixels]) -> Iterator[Pixels]:
    """The images, some of them late."""
    rng = np.random.default_rng(1)
    for image in images:
        time.sleep(0.004 * rng.integers(0, 2))
        yield image


def test_independent_of_timing_and_neighbours(engine: Engine, images: list[Pixels]) -> None:
    at_once = run(engine, images)
    assert np.array_equal(run(engine, hesitant(images)), at_once)
    assert np.array_equal(run(engine, images[::-1])[::-1], at_once)
    assert np.array_equal(np.concatenate([run(engine, [one]) for one in images[:9]]), at_once[:9])


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_independent_of_threads(network: Path, images: list[Pixels], threads: int) -> None:
    two = run(OpenVINOEngine(network, "float32", 2), images)
    assert np.array_equal(run(OpenVINOEngine(network, "float32", threads), images), two)


@pytest.mark.parametrize("taken", [0, 1, 5])
@pytest.mark.parametrize("explicit", [False, True])
def test_abandoned_stream(
    engine: Engine, images: list[Pixels], expected: Vector, taken: int, explicit: bool
) -> None:
    stream = engine.stream(images)
    for _ in range(taken):
        next(stream)
    if explicit:
        stream.close()
    del stream
    assert close(run(engine, images), expected, 1e-4)


def test_error_in_the_source(engine: Engine, images: list[Pixels], expected: Vector) -> None:
    def source() -> Iterator[Pixels]:
        yield from images[:40]
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(engine.stream(source()))
    assert close(run(engine, images), expected, 1e-4)


def test_streams_in_turns(engine: Engine, images: list[Pixels], expected: Vector) -> None:
    pairs = list(zip(engine.stream(images), engine.stream(images[::-1]), strict=True))
    assert close(np.array([one for one, _ in pairs]), expected, 1e-4)
    assert close(np.array([other for _, other in pairs]), expected[::-1], 1e-4)


def test_stream_within_a_stream(engine: Engine, images: list[Pixels], expected: Vector) -> None:
    inner: list[Vector] = []
    outer: list[Vector] = []
    for vector in engine.stream(images[:40]):
        outer.append(vector)
        inner.extend(engine.stream([images[len(inner)]]))
    assert close(np.array(outer), expected[:40], 1e-4)
    assert close(np.array(inner), expected[:40], 1e-4)


def test_streams_in_threads(engine: Engine, images: list[Pixels], expected: Vector) -> None:
    got: dict[int, Vector] = {}

    def work(number: int) -> None:
        got[number] = run(engine, hesitant(images[number:]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(got) == [0, 1, 2, 3]
    assert all(close(got[number], expected[number:], 1e-4) for number in got)


def test_requests_are_used_again(network: Path, images: list[Pixels]) -> None:
    engine = OpenVINOEngine(network, "float32", 2)
    for _ in range(3):
        run(engine, images)
        next(engine.stream(images))
    assert len(engine._free) == 4


def test_network_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "prefix.xml").write_text("<net>")
    with pytest.raises(HeadstartError, match=r"OpenVINO cannot load .*prefix\.xml.*Make the"):
        OpenVINOEngine(tmp_path / "prefix.xml", "float32")


def test_openvino_is_missing(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(HeadstartError, match=r"OpenVINO is not installed.*pip install openvino"):
        OpenVINOEngine(network, "float32")


def test_convert_names_input_and_output(network: Path) -> None:
    read = engines.load_openvino().Core().read_model(str(network))
    assert [list(port.names) for port in (*read.inputs, *read.outputs)] == [["image"], ["features"]]
    assert list(read.input(0).shape) == [1, *SIZE, 3]
    assert read.input(0).element_type.get_type_name() == "u8"
    assert read.output(0).element_type.get_type_name() == "f32"


def test_convert_where_nothing_can_be_written(model: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"OpenVINO cannot write .*x\.xml"):
        convert(model, tmp_path / "file" / "x.xml")


QUIET = """
import sys
from pathlib import Path
from headstart.engine import OpenVINOEngine
OpenVINOEngine(Path(sys.argv[1]), "float32")
print(sorted(name for name in sys.modules if name.startswith("openvino_telemetry")))
"""


def test_nothing_is_reported_to_the_makers_of_openvino(network: Path, tmp_path: Path) -> None:
    """Importing OpenVINO sends an event, and numbers its user in a folder of the home."""
    done = subprocess.run(
        [sys.executable, "-c", QUIET, str(network)],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())


def test_nothing_is_reported_when_converting(network: Path) -> None:
    assert network.is_file()
    assert "openvino_telemetry" not in sys.modules


def test_one_core_for_the_process() -> None:
    """When a core goes, OpenVINO leaves a signal stack behind that it has unmapped."""
    pytest.importorskip("openvino")
    first = weakref.ref(engines._core())
    gc.collect()
    assert first() is engines._core()
