"""A depth that does not exist is told before any work, and without building where that is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import RECIPE, fresh_cache, trained

from headstart import progress
from headstart.backbones import load_backbone
from headstart.depth import check_depth, find_depth
from headstart.errors import HeadstartError
from headstart.learning import choose_prefix, fit_images
from headstart.prefix import Prefix, layer_table
from headstart.recipe import Recipe, read_recipe
from headstart.unfreezing import with_depth

NETWORKS = ("tiny", "efficientnet_lite0", "vgg16", "mobilenet")
DEPTHS = ("all", "block", 0, 1, 2, 4, 20, 9999, "block6", "block_6", "head_relu", "conv", "none")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


def said(look: Any, *given: Any) -> str:
    try:
        look(*given)
    except HeadstartError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_tells_what_the_network_tells(name: str) -> None:
    model = load_backbone(name, weights=None).build((64, 64))
    table = layer_table(model)
    found = {depth: said(check_depth, model.name, table, depth) for depth in DEPTHS}
    assert found == {depth: said(find_depth, model, depth) for depth in DEPTHS}
    assert found["all"] == found["block"] == ""
    assert "no layer whose name begins with 'none'" in found["none"]


def candidate(name: str = "tiny", **choices: Any) -> tuple[Prefix, Recipe]:
    size = 32 if name == "tiny" else 64
    wanted = replace(RECIPE, backbone=name, weights=None, image_size=size, **choices)
    return choose_prefix(wanted if name != "tiny" else replace(wanted, weights="imagenet"), "cpu")


@pytest.mark.parametrize("unfreeze", [4, "block3", "block", "all", 11, "block4"])
def test_nothing_is_built_where_the_layers_were_noted(
    unfreeze: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart.unfreezing.layer_table", lambda _: pytest.fail("it was built"))
    given = [candidate(unfreeze=unfreeze)]
    if unfreeze in (11, "block4"):
        with pytest.raises(HeadstartError, match=r"'tiny'.* Expected a number"):
            with_depth(given)
    else:
        assert with_depth(given) == given


def test_of_several_networks_those_without_it_are_left_out() -> None:
    messages: list[str] = []
    both = [candidate("tiny", unfreeze=20), candidate("efficientnet_lite0", unfreeze=20)]
    with progress.listen(lambda event: messages.append(event.message)):
        assert with_depth(both) == both[1:]
    assert messages[0].startswith("tiny is left out: The last 20 layers of 'tiny' cannot be")


def test_the_tutorial_on_a_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.learning.prepare_images", lambda *_: pytest.fail("work"))
    recipe = replace(read_recipe("tutorial"), backbone="tiny", image_size=32)
    labels = np.arange(len(trained().paths)) % 3
    with pytest.raises(HeadstartError, match=r"The last 20 layers of 'tiny' cannot be unfrozen"):
        fit_images(trained().paths, labels, recipe)
