"""Fine-tuning from the command line, in this process: options, recipes, what is printed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import run_command
from tiny_run import SIDE, fresh_cache, trained

from headstart import training
from headstart.finetune import auto
from headstart.fit_options import FitOptions
from headstart.options import with_options
from headstart.recipe import read_recipe
from headstart.run import Run
from headstart.summary import training_lines

OPTIONS = f"--backbone tiny --image-size {SIDE} --resize squash --precision float32".split()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fresh_cache(monkeypatch, tmp_path / "cache")
    shutil.copytree(trained().photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tutorial_with_other_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--unfreeze", 3, "--epochs", 1, "--head-epochs", 2, "--learning-rate", 0.001)
    code = run_command(
        monkeypatch, "fit", "photos", *OPTIONS, "--recipe", "tutorial", *few, "--json"
    )
    values = json.loads(capsys.readouterr().out)
    assert (code, values["head"]) == (0, "mlp")
    assert values["fine_tuning"]["moved"] == ["block3_conv", "block3_bn"]
    assert values["fine_tuning"]["learning_rate"] == 0.001
    assert len(values["head_fit"]["train_loss"]) == 2
    recipe = read_recipe("photos.headstart/recipe.toml")
    assert recipe.tuning.optimizer == "adam"
    assert recipe.to_dict() == values["recipe"]


def test_as_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(auto, "FEWEST_JUDGED", 1)
    options = ("--unfreeze", "auto", "--epochs", 2, "--learning-rate", 0.003, "--kept-views", 1)
    assert run_command(monkeypatch, "fit", "photos", *OPTIONS, *options) == 0
    printed, told = capsys.readouterr()
    kept = "All layers stay frozen: not better than frozen." in printed
    assert kept or "layers moved, " in printed
    assert "unfrozen from  " in printed
    assert "fine-tune: features at block1_relu (16 x 16 x 8): 1 MB for 102" in told


def test_a_recipe_of_a_bundle_gives_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--unfreeze", "block3", "--epochs", 1, "--learning-rate", 0.003, "--no-flip")
    assert run_command(monkeypatch, "fit", "photos", *OPTIONS, *options, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    shutil.copy("photos.headstart/recipe.toml", "run.toml")
    assert run_command(monkeypatch, "fit", "photos", "--recipe", "run.toml", "--json") == 0
    second = json.loads(capsys.readouterr().out)
    assert second["recipe"] == first["recipe"]
    assert second["metrics"] == first["metrics"]


def test_ctrl_c_while_fine_tuning_is_told_by_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> Run:
        return replace(trained().run, fine_tuning={"stopped": "interrupted"})

    monkeypatch.setattr(training, "fit", interrupted)
    assert run_command(monkeypatch, "fit", "photos", *OPTIONS, "--unfreeze", "block") == 130
    printed = capsys.readouterr().out
    assert "Test accuracy" in printed
    assert "All layers stay frozen: Ctrl-C; the same command goes on." in printed


@pytest.mark.parametrize("stopped", ["interrupted", "epochs"])
def test_after_ctrl_c_the_way_on_is_told(stopped: str) -> None:
    found = {"epochs": 3, "best_epoch": 2, "learning_rate": 1e-3, "stopped": stopped, "share": 0}
    (line,) = training_lines(found)
    ending = "Ctrl-C; the same command goes on" if stopped == "interrupted" else stopped
    assert line.startswith(f"Fine-tuned 3 epochs (best: 2, ended by {ending}), learning rate 0.001")


FROZEN = "--recipe frozen --head linear"
TUNING = "--learning-rate, --epochs, --mixup: only for fine-tuning (--unfreeze), not used"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (f"{FROZEN} --learning-rate 0.5 --epochs 3 --mixup 0", TUNING),
        (f"{FROZEN} --head-epochs 7", "--head-epochs: only for --head mlp, not used"),
        (
            f"{FROZEN} --dropout 0 --kept-views 9",
            "--dropout: only for fine-tuning (--unfreeze), not used; --kept-views: only for views "
            "(--augment light or strong), not used",
        ),
        ("--recipe frozen --head-epochs 7", ""),  # by the data it may be the mlp
        ("--recipe frozen --augment light --kept-views 2", ""),
        ("--epochs 3 --kept-views 2 --weight-decay 0.1", ""),  # of what auto may come to
        ("--recipe tutorial --epochs 3 --head-epochs 2", ""),
        ("--recipe tutorial --weight-decay 0.1", "--weight-decay: only for --optimizer adamw,"),
        ("--unfreeze all --kept-views 2", "--kept-views: only where something stays frozen,"),
        ("--unfreeze all --augment none --kept-views 2", "--kept-views: only for views"),
    ],
)
def test_options_that_are_not_used(options: str, told: str) -> None:
    asked: list[FitOptions] = []

    @with_options(FitOptions)
    def command(options: FitOptions) -> None:
        asked.append(options)

    app = typer.Typer()
    app.command()(command)
    typer.main.get_command(app)(options.split(), standalone_mode=False)
    found = asked[0].unused(asked[0].to_recipe())
    assert found.startswith(told)
    assert bool(found) == bool(told)


def test_what_is_not_used_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unused = ("--unfreeze", 0, "--learning-rate", 0.5, "--epochs", 3, "--mixup", 2)
    assert run_command(monkeypatch, "fit", "photos", *OPTIONS, *unused, "--json") == 0
    printed, told = capsys.readouterr()
    assert f"options: {TUNING}\n" in told
    assert TUNING in json.loads(printed)["warnings"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--recipe", "missing.toml"), "The recipe 'missing.toml' cannot be read"),
        (("--unfreeze", "block9"), "no layer whose name begins with 'block9'"),
        (("--unfreeze", "99"), "The last 99 layers of 'tiny' cannot be unfrozen"),
        (("--unfreeze", "-1"), "no layer whose name begins with '-1'"),
        (("--learning-rate", "0"), "learning_rate cannot be 0.0. Expected a number above 0 to 1."),
        (("--views", "99"), "views cannot be 99"),
        (("--augment", "much"), "'much' is not one of 'auto', 'none', 'light', 'strong'"),
    ],
)
def test_bad_input(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    assert run_command(monkeypatch, "fit", "photos", *OPTIONS, *options) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
