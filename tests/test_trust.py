from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import run_command
from feature_rows import head_digest, make_rows
from test_bundle_damage import rewrite
from tiny_run import CLASSES, RECIPE, fresh_cache, make_mixed_folder, trained

from headstart.answers import Prediction
from headstart.bundle import load, save_bundle
from headstart.calibration import fit_temperature, log_probabilities, warmed
from headstart.conversion import file_digest
from headstart.errors import HeadstartError
from headstart.heads import Head
from headstart.reference import images_to_keep, make_reference, strangeness
from headstart.retest import evaluate_bundle
from headstart.training import fit
from headstart.trust import _usual
from headstart.trust_figures import telling_images, trust_lines


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


def answers(part: str) -> tuple[Any, Any]:
    """What the classifier says to a part, and the true labels."""
    paths, names = zip(*trained().run.files[part], strict=True)
    labels = np.array([CLASSES.index(name) for name in names])
    return trained().run.classifier.predict_proba(paths), labels


def test_what_is_measured() -> None:
    trust = trained().run.trust
    assert set(trust) == {
        "calibration", "sets", "abstaining", "unknown", "learning_curve", "intervals", "worst",
        "hardest",
    }  # fmt: skip
    values = json.loads(json.dumps(trust, allow_nan=False))
    assert values["unknown"]["images"] == 12
    assert [one["images"] for one in values["sets"]["classes"]] == [4, 4, 4]
    assert values["calibration"]["after"]["log_loss"] == trained().run.evaluation.log_loss
    assert values["learning_curve"]["points"][-1]["accuracy"] == trained().run.head["cv_accuracy"]


def test_the_temperature_is_in_the_head_and_changes_no_answer() -> None:
    run, trust = trained().run, trained().run.trust["calibration"]
    temperature = trust["temperature"]
    raw = run.classifier.head.tempered(1 / temperature)
    paths = [path for path, _ in run.files["validation"]]
    features = run.classifier.embed(paths)
    labels = answers("validation")[1]
    before = raw.probabilities(features)
    assert np.array_equal(before.argmax(axis=1), run.classifier.predict_proba(paths).argmax(axis=1))
    # Six images to validate on are too few: those of cross-validation count as well.
    assert fit_temperature(before, labels) != temperature != 1
    assert 0.5 < temperature < 2


def test_before_is_what_it_would_be_without_a_temperature() -> None:
    found = trained().run.trust["calibration"]
    probabilities, labels = answers("test")
    raw = np.exp(warmed(log_probabilities(probabilities), 1 / found["temperature"]))
    loss = -np.log(raw[np.arange(12), labels]).mean()
    assert found["before"]["log_loss"] == pytest.approx(loss, rel=1e-4)


def test_the_thresholds_are_those_of_images_not_learned_from(tmp_path: Path) -> None:
    run = trained().run
    decision = run.classifier.decision
    assert decision is not None
    assert decision.images == (16, 16, 16)  # 14 cross-validated, 2 of validation
    assert decision.source == "validation and cross-validation"
    tuned = fit(trained().photos, replace(RECIPE, head="prototype"))
    found = tuned.classifier.decision
    assert found is not None
    assert found.images == (16, 16, 16)


def test_the_sets_are_those_of_the_decision() -> None:
    classifier = load(trained().bundle)
    paths = [path for path, _ in trained().run.files["test"]]
    found, probabilities = classifier.predict(paths), classifier.predict_proba(paths)
    assert classifier.decision is not None
    least = np.array(classifier.decision.thresholds[0.9], float)
    for one, row in zip(found, probabilities, strict=True):
        inside = [CLASSES[at] for at in np.argsort(-row) if row[at] >= least[at]]
        assert one.candidates == tuple(inside)
    covered = [path.parent.name in (one.candidates or ()) for one, path in zip(found, paths)]  # noqa: B905
    assert trained().run.trust["sets"]["covered"] == np.mean(covered)


def test_an_image_of_something_else_is_told(tmp_path: Path) -> None:
    classifier, paths = load(trained().bundle), trained().paths
    assert classifier.reference is not None
    assert classifier.decision is not None
    distances = classifier.reference.distances(classifier.embed(paths))
    beyond = float(np.median(distances))
    assert beyond < (classifier.decision.unknown_beyond or 0) < 1
    classifier.decision = replace(classifier.decision, unknown_beyond=beyond)
    assert [one.unknown for one in classifier.predict(paths)] == (distances > beyond).tolist()
    files = [one for one in classifier.predict_files(paths) if isinstance(one, Prediction)]
    assert [one.unknown for one in files] == (distances > beyond).tolist()
    classifier.reference = None
    assert not any(one.unknown for one in classifier.predict(paths))


def test_a_bundle_of_before_has_neither_sets_nor_training_images(tmp_path: Path) -> None:
    old = load(trained().bundle)
    old.decision = old.reference = None
    save_bundle(tmp_path / "old", old, replace(trained().run.contents, metrics={}))
    assert not {"decision.json", "reference.json"} & {
        one.name for one in (tmp_path / "old").iterdir()
    }
    found = load(tmp_path / "old")
    one = found.predict(trained().paths[0])
    assert (one.candidates, one.unknown) == (None, False)
    assert str(one) == f"{one.label} ({one.probability:.1%})"
    with pytest.raises(HeadstartError, match=r"no sets for the level 0\.9\."):
        found.choose_level(0.9)
    trust = evaluate_bundle(tmp_path / "old", trained().photos).trust
    assert (trust["sets"], trust["unknown"]) == (None, None)


def test_loading_again_gives_the_same(tmp_path: Path) -> None:
    first = load(trained().bundle)
    save_bundle(tmp_path / "again", first, trained().run.contents)
    second = load(tmp_path / "again")
    assert second.decision == first.decision == trained().run.classifier.decision
    assert first.reference is not None
    assert second.reference is not None
    assert second.reference.names == first.reference.names
    assert len(first.reference.names) == 42
    assert all(one.startswith(b"\xff\xd8\xff") for one in first.reference.thumbnails)


def test_the_recipe_gives_the_same_again_bit_for_bit(tmp_path: Path) -> None:
    run = trained().run
    again = fit(trained().photos, run.recipe)
    assert head_digest(again.classifier.head) == head_digest(run.classifier.head)
    assert again.trust == run.trust
    assert again.classifier.decision == run.classifier.decision


def test_new_images(tmp_path: Path) -> None:
    new = make_mixed_folder(tmp_path / "new", CLASSES, seed=9)
    found = evaluate_bundle(trained().bundle, new, level=0.8)
    assert found.trust["sets"]["level"] == 0.8
    answered = load(trained().bundle).predict(sorted(new.rglob("*.png")))
    assert found.trust["unknown"]["flagged"] == sum(one.unknown for one in answered)
    assert found.trust["unknown"]["images"] == 60
    wrong = [one for one in answered if one.label != Path(one.source).parent.name]
    surest = max(wrong, key=lambda one: one.probability)
    assert found.trust["worst"][0]["file"] == Path(surest.source).relative_to(new).as_posix()
    assert "Sets for 80%:" in found.summary()
    assert found.to_dict()["trust"] == found.trust


def test_the_images_not_seen_count_where_there_are_some() -> None:
    found = evaluate_bundle(trained().bundle, trained().photos)
    assert found.trust["unknown"]["images"] == 12
    assert found.trust["sets"] == trained().run.trust["sets"]
    assert found.trust["worst"] == trained().run.trust["worst"]


def test_an_mlp_has_a_curve_too(tmp_path: Path) -> None:
    run = fit(trained().photos, replace(RECIPE, head="mlp", head_epochs=2))
    assert run.trust["learning_curve"]["points"] == trained().run.trust["learning_curve"]["points"]
    assert run.classifier.decision is not None
    assert run.classifier.decision.source == "validation"
    assert set(run.classifier.decision.thresholds) == {0.8}  # of six images


def test_telling_images() -> None:
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9]])
    found = telling_images(probabilities, np.array([0, 0, 1, 0]), ("ants", "bees"), list("abcd"))
    assert [one["file"] for one in found["worst"]] == ["d", "b", "c"]
    assert [one["file"] for one in found["hardest"]] == ["d", "b", "c", "a"]
    assert found["worst"][0] == {
        "file": "d",
        "true": "ants",
        "answer": "bees",
        "probability": 0.9,
        "given_to_true": 0.1,
    }


def test_what_is_missing_is_not_told() -> None:
    trust = trained().run.trust
    assert len(list(trust_lines(trust))) >= 5
    for name in trust:
        list(trust_lines({**trust, name: None}))
    assert list(trust_lines({})) == []


def test_the_level_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {}
    for level in ("0.8", "0.95"):
        command = ("predict", trained().bundle, trained().photos, "--json", "--level", level)
        assert run_command(monkeypatch, *command) == 0
        found = json.loads(capsys.readouterr().out)["predictions"]
        sizes[level] = sum(len(one["candidates"]) for one in found)
    assert sizes["0.8"] < sizes["0.95"]
    assert run_command(monkeypatch, "predict", trained().bundle, "x.png", "--level", "0.5") == 2


@pytest.mark.parametrize("name", ["decision.json", "reference.safetensors", "reference.json"])
def test_a_damaged_file_is_told(tmp_path: Path, name: str) -> None:
    place = shutil.copytree(trained().bundle, tmp_path / "bundle")
    (place / name).write_bytes((place / name).read_bytes()[:-5])
    with pytest.raises(HeadstartError, match=rf"is damaged: {name} is missing or changed"):
        load(place)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"thresholds": {"0.9": [0.5, 0.5]}}, "its thresholds are not those of 3 classes"),
        ({"thresholds": {"much": [0.5, 0.5, 0.5]}}, "could not convert string to float: 'much'"),
        ({"unknown_beyond": "far"}, "could not convert string to float: 'far'"),
    ],
)
def test_thresholds_that_do_not_fit(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    place = shutil.copytree(trained().bundle, tmp_path / "bundle")
    written = json.loads((place / "decision.json").read_text())
    (place / "decision.json").write_text(json.dumps(written | values))
    files = json.loads((place / "bundle.json").read_text())["files"]
    rewrite(place, files=files | {"decision.json": file_digest(place / "decision.json")})
    with pytest.raises(HeadstartError, match=rf"is incomplete: {said}\. Expected"):
        load(place)


def test_many_training_images_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.trust.images_to_keep", lambda classes: 10 * (classes == 3))
    kept = fit(trained().photos, RECIPE).classifier.reference
    assert kept is not None
    assert len(kept.names) == len(set(kept.names)) == 10
    assert sorted(np.bincount(kept.labels)) == [3, 3, 4]
    for name, label in zip(kept.names, kept.labels, strict=True):
        assert name.startswith(CLASSES[label])


@pytest.mark.parametrize(("classes", "count"), [(2, 1000), (100, 1000), (150, 1500), (900, 2000)])
def test_how_many_are_kept(classes: int, count: int) -> None:
    assert images_to_keep(classes) == count


@pytest.mark.parametrize("tuned", [True, False])
def test_how_strange_is_usual(tuned: bool) -> None:
    """98% of held-out images are within it, and distance and energy count alike."""
    rows, labels = make_rows([150, 150], 8, kind=np.float32)
    known = make_reference(rows[:200], labels[:200], ["x"] * 200, [b""] * 200)
    weights = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    head = Head("linear", ((weights, np.zeros(2, np.float32)),))
    learned: Any = SimpleNamespace(fine_tuned=tuned, head=head)
    by_energy, beyond = _usual(learned, known, rows[200:].astype(np.float16))
    held = strangeness(known, head, by_energy, rows[200:].astype(np.float16))
    assert beyond is not None
    if tuned:
        spread = by_energy * head.energies(rows[200:]).std()
        assert spread == pytest.approx(known.distances(rows[200:]).std(), rel=0.01)
        assert (held > beyond).sum() == 1  # of 100
    else:
        assert by_energy == 0
        both = np.concatenate([held, known.distances(known.features, itself=True)])
        assert (both > beyond).sum() == 5  # of 300
    if tuned:
        assert _usual(learned, known, rows[:19].astype(np.float16)) == (0.0, None)
