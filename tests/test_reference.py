from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_image_folder
from feature_rows import make_rows
from PIL import Image
from safetensors.numpy import load_file, save_file
from scipy.special import logsumexp
from sklearn.neighbors import NearestNeighbors

from headstart.heads import Head
from headstart.reference import (
    FILES,
    NEIGHBOURS,
    Reference,
    make_reference,
    read_reference,
    strangeness,
    unit_length,
)

WIDTH = 16


def reference(count: int = 40, images: list[Any] | None = None) -> Reference:
    features, labels = make_rows([count // 2, count - count // 2], WIDTH, kind=np.float32)
    names = [f"image {row}" for row in range(count)]
    return make_reference(features, labels, names, images or [b"no image"] * count)


def as_scikit_learn(features: Any, near: Any, count: int) -> tuple[Any, Any]:
    found = NearestNeighbors(n_neighbors=count).fit(unit_length(near))
    distances, rows = found.kneighbors(unit_length(features))
    return distances, rows


@pytest.mark.parametrize("count", [3, 5, 40, 900])
def test_the_distance_to_the_nearest(count: int) -> None:
    kept, (features, _) = reference(count), make_rows([600], WIDTH, seed=7)
    near = kept.features.astype(np.float32)
    distances, _ = as_scikit_learn(features, near, min(NEIGHBOURS, count))
    np.testing.assert_allclose(kept.distances(features), distances[:, -1], atol=2e-3)


def test_an_image_among_them_does_not_count() -> None:
    kept = reference()
    distances, _ = as_scikit_learn(kept.features, kept.features, NEIGHBOURS + 1)
    found = kept.distances(kept.features, itself=True)
    np.testing.assert_allclose(found, distances[:, -1], atol=2e-3)


def test_the_nearest_images() -> None:
    kept, (features, _) = reference(), make_rows([30], WIDTH, seed=7)
    rows, distances = kept.nearest(features, 3)
    expected, places = as_scikit_learn(features, kept.features, 3)
    assert np.array_equal(rows, places)
    np.testing.assert_allclose(distances, expected, atol=2e-3)
    assert kept.nearest(features[:1], 100)[0].shape == (1, 40)


def test_the_size_of_features_does_not_count() -> None:
    kept, (features, _) = reference(), make_rows([30], WIDTH, seed=7, kind=np.float32)
    np.testing.assert_allclose(kept.distances(features), kept.distances(features * 3), atol=1e-3)
    assert np.isfinite(kept.distances(np.zeros((1, WIDTH), np.float32))).all()


def test_thumbnails(tmp_path: Path) -> None:
    paths: list[Any] = sorted(make_image_folder(tmp_path / "photos", per_class=1).rglob("*.jpg"))
    paths += [paths[0].read_bytes(), tmp_path / "gone.jpg", b"no image"]
    thumbnails = reference(len(paths), paths).thumbnails
    assert [len(one) > 0 for one in thumbnails] == [True] * 4 + [False] * 2
    assert thumbnails[3] == thumbnails[0]
    with Image.open(io.BytesIO(thumbnails[0])) as image:
        assert (image.format, image.size) == ("JPEG", (64, 64))


def test_it_is_the_same_once_read(tmp_path: Path) -> None:
    kept = Reference(*reference(4).__dict__.values())
    object.__setattr__(kept, "thumbnails", (b"one", b"", b"three", b""))
    kept.save(tmp_path)
    found = read_reference(tmp_path, WIDTH, 2)
    assert found is not None
    assert np.array_equal(found.features, kept.features)
    assert np.array_equal(found.labels, kept.labels)
    assert (found.names, found.thumbnails) == (kept.names, kept.thumbnails)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


def test_where_there_is_none(tmp_path: Path) -> None:
    assert read_reference(tmp_path, WIDTH, 2) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features", np.zeros((4, 3), np.float16)),
        ("labels", np.array([0, 1, 2, 0])),
        ("labels", np.array([0, 1])),
        ("ends", np.array([0, 1])),
    ],
)
def test_what_does_not_fit(tmp_path: Path, name: str, value: Any) -> None:
    reference(4).save(tmp_path)
    save_file({**load_file(tmp_path / FILES[0]), name: value}, tmp_path / FILES[0])
    with pytest.raises(ValueError, match="do not fit"):
        read_reference(tmp_path, WIDTH, 2)


def test_no_images(tmp_path: Path) -> None:
    reference(4).save(tmp_path)
    (tmp_path / FILES[1]).write_text(json.dumps({"names": []}))
    with pytest.raises(ValueError, match="do not fit"):
        read_reference(tmp_path, WIDTH, 2)


def test_strangeness_is_distance_and_energy() -> None:
    kept, (features, _) = reference(), make_rows([30], WIDTH, seed=7, kind=np.float32)
    weights = np.random.default_rng(0).normal(size=(WIDTH, 3)).astype(np.float32)
    head = Head("linear", ((weights, np.zeros(3, np.float32)),))
    energies = -logsumexp(features @ weights, axis=1)
    np.testing.assert_allclose(head.energies(features), energies, rtol=1e-4)
    distances = kept.distances(features)
    assert np.array_equal(strangeness(kept, head, 0.0, features), distances)
    found = strangeness(kept, head, 0.5, features)
    np.testing.assert_allclose(found, distances + energies / 2, rtol=1e-4)
