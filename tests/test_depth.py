"""What is unfrozen for a number, a block, a name or all of a network, and where it is cut."""

from __future__ import annotations

import functools
import math
from itertools import pairwise
from typing import Any

import pytest

from headstart.backbones import load_backbone
from headstart.cut import cut_points
from headstart.depth import Depth, _first_named, block_ends, cut_for, find_depth, kept_bytes
from headstart.errors import HeadstartError

LITE = "efficientnet_lite0"


@functools.cache
def network(name: str = LITE, side: int = 64) -> Any:
    return load_backbone(name, weights=None).build((side, side))


@functools.cache
def layers(name: str = LITE) -> list[str]:
    """`base_model.layers` as a tutorial has them: without the pooling; the input is not counted."""
    base = load_backbone(name, weights=None).build((64, 64), pooling=False)
    return [layer.name for layer in base.layers[1:]]


def ends(name: str = LITE) -> list[str]:
    return [point.layer for point in block_ends(network(name))]


def test_the_blocks_of_efficientnet_lite() -> None:
    found = ends()
    assert len(found) == 15  # 16 blocks; none ends behind the last one
    assert [name.split("_")[0] for name in found] == [
        f"block{number}" for number in (1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 6)
    ]
    assert all(name.endswith(("_add", "_project_bn")) for name in found)
    assert found[-1] == "block6_14_add"


def test_the_blocks_of_tiny() -> None:
    assert ends("tiny") == ["block1_relu"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "last"),
    [
        ("mobilenetv2", 13, "block_15_add"),
        ("mobilenet", 4, "conv_pad_12"),
        ("vgg16", 4, "block4_pool"),
        ("resnet50", 9, "conv5_block2_out"),
        ("efficientnetb0", 16, "block6d_add"),
    ],
)
def test_the_blocks_of_others(name: str, count: int, last: str) -> None:
    points = block_ends(network(name))
    assert [one.layers_after for one in points] == sorted(
        (one.layers_after for one in points), reverse=True
    )
    assert all(one.parameters_after > other.parameters_after for one, other in pairwise(points))
    assert (points[-1].layer, len(points)) == (last, count)


@pytest.mark.parametrize("count", [3, 5, 12, 20, 141])
def test_a_number_is_counted_as_in_the_tutorials(count: int) -> None:
    depth = find_depth(network(), count)
    assert depth.name == str(count)
    assert list(depth.learns) == layers()[-count:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv2", "vgg16", "resnet50", "densenet121"])
@pytest.mark.parametrize("count", [10, 20])
def test_a_number_in_other_networks(name: str, count: int) -> None:
    assert list(find_depth(network(name), count).learns) == layers(name)[-count:]


@pytest.mark.parametrize(
    ("unfreeze", "first"),
    [
        ("all", "preprocess"),
        ("block", "block7_15_expand"),
        ("block1", "block1_0_depthwise"),
        ("block6", "block6_11_expand"),
        ("block6_14", "block6_14_expand"),
        ("block6_14_depthwise_bn", "block6_14_depthwise_bn"),
        ("head", "head"),
        ("stem_b", "stem_bn"),
    ],
)
def test_a_name(unfreeze: str, first: str) -> None:
    depth = find_depth(network(), unfreeze)
    assert depth.name == unfreeze
    assert list(depth.learns) == layers()[layers().index(first) :]


@pytest.mark.parametrize(
    ("name", "first"),
    [("block1", 2), ("block10", 0), ("block1_conv", 3), ("block1b", 2)],
)
def test_block1_is_not_block10(name: str, first: int) -> None:
    names = ["block10_conv", "block11_conv", "block1b_conv", "block1_conv"]
    assert _first_named("tiny", names, name) == first


@pytest.mark.parametrize(
    ("unfreeze", "message"),
    [
        (0, "last 0 layers of 'efficientnet_lite0' cannot be unfrozen. Expected .* from 1 to 141"),
        (142, "last 142 layers of 'efficientnet_lite0' cannot be unfrozen"),
        (-1, "last -1 layers"),
        ("block9", "has no layer whose name begins with 'block9'. Expected .* such as block"),
        ("block6_1", "no layer whose name begins with 'block6_1'"),
        ("pool", "no layer whose name begins with 'pool'"),
        ("image", "no layer whose name begins with 'image'"),
        (1, "Nothing in the last 1 layers of .* learn: head_relu. .* 2 layers, from 'head_bn'"),
        ("head_relu", "Nothing in 'head_relu' of .* can learn: head_relu"),
    ],
)  # fmt: skip
def test_what_cannot_be_unfrozen(unfreeze: int | str, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        find_depth(network(), unfreeze)


def cut_of(unfreeze: int | str, most: float = math.inf) -> tuple[str, Depth]:
    depth = find_depth(network(), unfreeze)
    cut = cut_for(network(), depth, most)
    assert cut is not None
    assert cut.learns == depth.learns
    behind = {layer.name for layer in cut.suffix.layers}
    assert set(depth.learns) <= behind
    return cut.point.layer, depth


@pytest.mark.parametrize(
    ("unfreeze", "layer"),
    [
        ("block", "block6_14_add"),
        (3, "block7_15_project_bn"),
        ("block6_14_depthwise", "block6_13_add"),  # wider in the middle, so a block earlier
        (20, "block6_13_add"),
        ("block6_11_depthwise", "block5_10_add"),  # not where the block is six times as wide
    ],
)
def test_where_it_is_cut(unfreeze: int | str, layer: str) -> None:
    assert cut_of(unfreeze)[0] == layer


def test_places_are_all_cuts_before_what_learns() -> None:
    depth = find_depth(network(), 20)
    points = cut_points(network())
    assert depth.places == tuple(one for one in reversed(points) if one.layers_after > 20)
    assert depth.places[-1] == points[0]


def test_a_smaller_budget_moves_the_cut() -> None:
    inside, depth = cut_of("block6_11_project")
    assert (inside, kept_bytes(depth.places[0])) == ("block6_11_depthwise_relu", 8192)
    assert cut_of("block6_11_project", 8192)[0] == inside
    assert cut_of("block6_11_project", 8191)[0] == "block5_10_add"
    assert cut_of("block6_11_project", 4096)[0] == "block5_10_add"
    assert cut_for(network(), depth, 4095) is None


@pytest.mark.parametrize("unfreeze", ["all", "stem", 140])
def test_where_no_weights_lie_before_nothing_is_kept(unfreeze: int | str) -> None:
    for most in (math.inf, 0):
        layer, depth = cut_of(unfreeze, most)
        assert layer == cut_points(network())[0].layer == depth.places[-1].layer


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 4, 112), (7, 7, 1280)])
def test_what_is_kept_takes_whole_pages(shape: tuple[int, ...]) -> None:
    points = cut_points(network())
    size = kept_bytes(type(points[0])("x", shape, 1, 1))
    assert size % 4096 == 0
    assert 0 <= size - (2 * math.prod(shape) + 512) < 4096
