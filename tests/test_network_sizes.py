"""Which image sizes are worth trying, by the size of the images themselves."""

from __future__ import annotations

import pytest

from headstart.ranking import network
from headstart.ranking.shapes import worth_trying
from headstart.recipe import Recipe

TINY = Recipe(backbone="tiny", precision="float32")


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(40, 30)] * 50, [46, 64, 91]),
        ([(30, 48)] * 50, [46, 64, 91]),
        ([(49, 30)] * 50, [46, 64, 91, 146]),
        ([(40, 30)] * 40 + [(49, 30)] * 10, [46, 64, 91, 146]),
        ([(40, 30)] * 48 + [(49, 30)] * 2, [46, 64, 91]),
        ([], [46, 64, 91]),
    ],
)
def test_small_images_are_not_enlarged_for_nothing(
    shapes: list[tuple[int, int]], expected: list[int]
) -> None:
    candidates = [prefix for prefix, _ in network.candidates_of(TINY, "cpu")]
    found = worth_trying(candidates, shapes)
    assert [prefix.identity.image_size[0] for prefix in found] == expected


@pytest.mark.parametrize(("side", "largest"), [(64, 320), (160, 320), (250, 512)])
def test_textile_is_enlarged_to_512(side: int, largest: int) -> None:
    lite = Recipe(backbone="efficientnet_lite0", precision="float32")
    candidates = [prefix for prefix, _ in network.candidates_of(lite, "cpu")]
    found = worth_trying(candidates, [(side, side)] * 50)
    assert max(prefix.identity.image_size[0] for prefix in found) == largest
