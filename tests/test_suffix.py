"""The trained part of a network: its digest, its weights, and the files of it in a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_tuning import same, tiny_cut

from headstart.errors import HeadstartError
from headstart.suffix import SUFFIX_FILES, WEIGHTS, Suffix, read_weights, size_of, write_weights


def suffix(**changes: Any) -> Suffix:
    cut = tiny_cut()
    shape = tuple(int(side) for side in cut.suffix.inputs[0].shape[1:])
    made = Suffix(cut.point.layer, shape, 32, read_weights(cut.suffix), cut=cut)
    return replace(made, **changes)


def test_the_digest_stands_for_names_and_weights() -> None:
    made = suffix()
    weights = dict(made.weights)
    assert made.digest == suffix().digest
    assert suffix(weights=dict(reversed(weights.items()))).digest == made.digest
    one = weights["block3_conv/0"]
    moved = np.nextafter(one, np.float32(9))
    assert suffix(weights=weights | {"block3_conv/0": moved}).digest != made.digest
    del weights["block3_conv/0"]
    assert suffix(weights=weights | {"block9_conv/0": one}).digest != made.digest


def test_weights_are_read_and_written() -> None:
    cut = tiny_cut()
    weights = read_weights(cut.suffix)
    assert {"block3_conv/0", "block3_bn/0", "block3_bn/3"} <= set(weights)
    others = {name: value + np.float32(0.5) for name, value in weights.items()}
    write_weights(cut.suffix, others)
    assert same(read_weights(cut.suffix), others)
    assert not same(weights, others)  # what was read does not change


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_weights_of_another_network(change: str) -> None:
    cut = tiny_cut()
    weights = read_weights(cut.suffix)
    if change == "missing":
        del weights["block3_conv/0"]
    else:
        weights["block3_conv/0"] = weights["block3_conv/0"][:1]
    with pytest.raises(
        HeadstartError, match=r"weights do not fit the layer 'block3_conv'\. Expect"
    ):
        write_weights(cut.suffix, weights)


def test_the_files_in_a_bundle(tmp_path: Path) -> None:
    made = suffix()
    changed = {name: value * np.float32(0.9) for name, value in made.weights.items()}
    made = replace(made, weights=changed)
    made.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*SUFFIX_FILES, WEIGHTS])
    assert same(load_file(tmp_path / WEIGHTS), changed)
    images = list(np.random.default_rng(0).uniform(0, 4, (3, *made.shape)).astype(np.float32))
    expected = np.asarray(made.model()(np.stack(images)))
    for one in (made, Suffix(made.layer, made.shape, 32, changed, folder=tmp_path)):
        got = np.stack(list(one.open("openvino", "float32", 1).stream(images)))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    got = np.stack(list(made.open("keras", "float32").stream(images)))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_arrays_that_are_not_contiguous_are_written_as_they_are(tmp_path: Path) -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    weights = {"a/0": turned, "a/1": np.array(2, np.float32)}
    suffix(weights=weights, folder=_converted(tmp_path / "other")).write(tmp_path)
    read = load_file(tmp_path / WEIGHTS)
    assert np.array_equal(read["a/0"], turned)
    assert read["a/1"].shape == ()


def _converted(folder: Path) -> Path:
    folder.mkdir()
    for name in SUFFIX_FILES:
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(("shape", "size"), [((7, 7, 3), 147), ((5,), 5), ((None, 2), 0), ((), 1)])
def test_sizes(shape: tuple[int | None, ...], size: int) -> None:
    assert size_of(shape) == size
