from __future__ import annotations

import io
import math
from unittest.mock import Mock, patch

import numpy as np
import pytest
from PIL import Image, ImageFile

from headstart import augment, images
from headstart.augment import PRESETS, Augmentation, augment_pixels, make_views, prediction_views
from headstart.errors import HeadstartError
from headstart.images import BadImage, Pixels, decode

SIZE = (48, 64)
VARIED = ("light", "strong")


def slope(width: int = 96, height: int = 72) -> Image.Image:
    """Brighter to the right, redder to the bottom: a mirrored or turned one can be told."""
    x = np.linspace(20, 230, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 25, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x + y, x, x], -1).astype(np.uint8))


def encode(image: Image.Image, name: str = "PNG", orientation: int = 1) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    image.save(buffer, name, exif=exif)
    return buffer.getvalue()


def rises(view: Pixels) -> bool:
    """Whether the right half is brighter than the left."""
    return bool(view[:, view.shape[1] // 2 :].mean() > view.mean())


def views(data: bytes, augmentation: Augmentation, count: int, resize: str = "squash") -> Pixels:
    return np.stack(make_views(data, SIZE, resize, augmentation, range(1, count + 1)))


@pytest.mark.parametrize("preset", VARIED)
def test_views_depend_on_nothing_but_file_preset_flip_and_number(preset: str) -> None:
    data, augmentation = encode(slope()), Augmentation(preset)
    first = make_views(data, SIZE, "squash", augmentation, [1, 2, 3])
    again = make_views(data, SIZE, "squash", Augmentation(preset), [3, 0, 1, 3])
    assert (again[0] == first[2]).all()
    assert (again[2] == first[0]).all()
    assert (again[3] == first[2]).all()
    assert not (first[0] == first[1]).all()
    other = make_views(data + b"\0", SIZE, "squash", augmentation, [1])
    assert not (other[0] == first[0]).all()


# Where this fails because views are made in another way, count augment._FORMAT up.
@pytest.mark.parametrize(
    ("preset", "key", "expected"),
    [
        ("light", "cdc42b61407fe120", [[57, 103, 148], [60, 106, 151]]),
        ("strong", "15a6c2352cf3ff8f", [[56, 88, 121], [59, 91, 123]]),
    ],
)
def test_kept_views_stay_valid(preset: str, key: str, expected: list[list[int]]) -> None:
    assert Augmentation(preset).view_key(1).hex() == key
    generator = np.random.Generator(np.random.PCG64(5))
    view = augment_pixels(np.asarray(slope()), Augmentation(preset), generator)
    small = np.asarray(Image.fromarray(view).convert("L").resize((3, 2), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - expected).max() <= 2


def test_presets_flips_and_numbers_have_keys_of_their_own() -> None:
    some = [Augmentation(preset, flip) for preset in VARIED for flip in (False, True)]
    keys = [one.view_key(index) for one in some for index in range(1, 200)]
    assert len({*keys, bytes(8)}) == len(keys) + 1
    assert {len(key) for key in keys} == {8}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_plain_image_has_one_key(preset: str) -> None:
    assert Augmentation(preset).view_key(0) == bytes(8)
    assert Augmentation("none", flip=False).view_key(7) == bytes(8)


@pytest.mark.parametrize("resize", images.RESIZE_MODES)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode(mode: str, resize: str) -> None:
    grey = np.asarray(slope().convert("L")).astype(np.uint16)
    data = encode(Image.fromarray(grey * 257) if mode == "I;16" else slope().convert(mode))
    for preset in PRESETS:
        made = make_views(data, SIZE, resize, Augmentation(preset, flip=False), range(6))
        assert (made[0] == decode(data, SIZE, resize).pixels).all()
        assert {(view.shape, view.dtype.name) for view in made} == {((*SIZE, 3), "uint8")}
        assert all(map(rises, made))


@pytest.mark.parametrize("side", [50, 200, 800, 1100, 1900])
@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_view_0_is_what_decode_gives(side: int, name: str, orientation: int) -> None:
    data = encode(slope(side, side * 3 // 4), name, orientation)
    for resize in images.RESIZE_MODES:
        made = make_views(data, SIZE, resize, Augmentation("strong"), [1, 0])
        assert (made[1] == decode(data, SIZE, resize).pixels).all()


@pytest.mark.parametrize("preset", VARIED)
@pytest.mark.parametrize(
    ("orientation", "undo"),
    [(2, Image.Transpose.FLIP_LEFT_RIGHT), (6, Image.Transpose.ROTATE_90)],
)
def test_orientation_is_applied(preset: str, orientation: int, undo: Image.Transpose) -> None:
    data = encode(slope().transpose(undo), "JPEG", orientation)
    assert all(map(rises, views(data, Augmentation(preset, flip=False), 12)))


@pytest.mark.parametrize("preset", VARIED)
def test_half_of_the_views_are_mirrored_or_none_and_none_upside_down(preset: str) -> None:
    data = encode(slope())
    assert all(map(rises, views(data, Augmentation(preset, flip=False), 60)))
    assert 15 < sum(map(rises, views(data, Augmentation(preset), 60))) < 45
    downward = encode(slope().transpose(Image.Transpose.TRANSPOSE))
    assert all(rises(view.swapaxes(0, 1)) for view in views(downward, Augmentation(preset), 60))


@pytest.mark.parametrize("resize", images.RESIZE_MODES)
@pytest.mark.parametrize("preset", VARIED)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (1, 20_000)])
def test_tiny_images_and_strips(size: tuple[int, int], preset: str, resize: str) -> None:
    made = views(encode(slope(*size)), Augmentation(preset), 8, resize)
    assert made.shape == (8, *SIZE, 3)


@pytest.mark.parametrize("size", [(64, 48), (400, 300), (90, 300)])
def test_turned_views_have_no_empty_corners(size: tuple[int, int]) -> None:
    for view in views(encode(Image.new("RGB", size, (200,) * 3)), Augmentation("strong"), 60):
        assert len(np.unique(view.reshape(-1, 3), axis=0)) <= 2  # the image's, and a patch's


def test_a_turned_view_is_turned_and_not_bent() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    source = Image.fromarray(coarse).resize((200, 200), Image.Resampling.BICUBIC)
    turned = augment._Strength(1.0, 0, 0, angle=15)
    made = augment._cut(source, (100, 100), turned, iter([0.5, 0.5, 1.0, 0.5, 0.5, 0.5]))
    half = 100 / (math.cos(math.radians(15)) + math.sin(math.radians(15)))
    box = (100 - half, 100 - half, 100 + half, 100 + half)
    upright = source.rotate(15, Image.Resampling.BICUBIC)
    expected = np.asarray(upright.resize((100, 100), Image.Resampling.HAMMING, box), int)
    assert np.abs(np.asarray(made) - expected).mean() < 2


def test_strong_changes_hue_and_is_grey_or_has_a_patch_now_and_then() -> None:
    data = encode(Image.new("RGB", (60, 60), (200, 100, 100)))
    made = views(data, Augmentation("strong"), 100)[:, ::4, ::4].reshape(100, -1, 3).astype(int)
    colours = [np.unique(view, axis=0, return_counts=True) for view in made]
    patched = [min(counts) / sum(counts) for _, counts in colours if len(counts) == 2]
    assert 12 < len(patched) < 40
    assert 0.01 < min(patched) < max(patched) < 0.13
    main = np.array([values[counts.argmax()] for values, counts in colours])
    assert 3 < (np.ptp(main, axis=1) <= 1).sum() < 22  # grey
    assert (main[:, 1] - main[:, 2]).min() < -5
    assert (main[:, 1] - main[:, 2]).max() > 5


def test_strong_applies_two_of_all_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = [Mock(side_effect=lambda image, _: image) for _ in augment._OPERATIONS]
    monkeypatch.setattr(augment, "_OPERATIONS", noted)
    views(encode(slope()), Augmentation("light"), 5)
    assert not any(one.called for one in noted)
    views(encode(slope()), Augmentation("strong"), 40)
    assert sum(one.call_count for one in noted) == 80
    assert all(one.called for one in noted)


@pytest.mark.parametrize("much", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("number", range(len(augment._OPERATIONS)))
def test_operations_keep_what_an_image_shows(number: int, much: float) -> None:
    changed = np.asarray(augment._OPERATIONS[number](slope(), much)).astype(int)
    assert np.abs(changed - np.asarray(slope())).mean() < 40
    assert np.corrcoef(changed.ravel(), np.asarray(slope()).ravel())[0, 1] > 0.9


@pytest.mark.parametrize("preset", VARIED)
@pytest.mark.parametrize(("name", "side"), [("JPEG", 1600), ("PNG", 1600), ("PNG", 70)])
@pytest.mark.parametrize("resize", images.RESIZE_MODES)
def test_views_are_cut_from_enough_pixels_and_not_from_far_more(
    preset: str, name: str, side: int, resize: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Mock(wraps=augment._view)
    monkeypatch.setattr(augment, "_view", spy)
    views(encode(slope(side, side), name), Augmentation(preset), 1, resize)
    lengths = spy.call_args.args[0].size
    detail = 1 / math.sqrt(augment._STRENGTHS[preset].smallest_area)
    for length, needed in zip(lengths, (SIZE[1] * detail, SIZE[0] * detail), strict=True):
        assert length <= 3 * needed
        assert length >= min(needed, side * 48 // 64)


@pytest.mark.parametrize(("side", "decodings"), [(100, 1), (1100, 1), (800, 2)])
def test_the_file_is_decoded_once(side: int, decodings: int) -> None:
    """Twice only where the plain image needs a JPEG at a smaller scale than the other views."""
    data, place = encode(slope(side, side), "JPEG"), ImageFile.ImageFile
    original = place.load_prepare
    with patch.object(place, "load_prepare", autospec=True, side_effect=original) as begun:
        make_views(data, SIZE, "squash", Augmentation("strong"), range(9))
    assert begun.call_count == decodings


def test_crop_cuts_views_from_the_middle_alone() -> None:
    image = Image.new("RGB", (300, 60), (255, 0, 0))
    image.paste((0, 200, 0), (110, 0, 190, 60))
    made = views(encode(image), Augmentation("light"), 20, "crop")
    assert made[..., 0].max() < 40
    assert views(encode(image), Augmentation("light"), 20)[..., 0].max() > 150


def test_pad_keeps_the_aspect_ratio_and_the_border() -> None:
    made = views(encode(Image.new("RGB", (200, 40), (255, 0, 0))), Augmentation("light"), 20, "pad")
    red = (made[..., 0].astype(int) - made[..., 1]) > 100
    assert red.any(axis=(1, 2)).all()
    assert 0.15 < red.mean() < 0.5
    assert np.ptp(made[:, 0], axis=-1).max() <= 2  # grey


def test_light_keeps_the_colours() -> None:
    noise = np.random.default_rng(0).integers(0, 160, (80, 80, 3), dtype=np.uint8)
    noise[..., 0] += 90
    made = views(encode(Image.fromarray(noise)), Augmentation("light"), 40)
    means, mean = made.mean(axis=(1, 2)), noise.mean(axis=(0, 1))
    assert np.abs(means / mean - 1).max() < 0.3
    assert np.ptp(means.mean(axis=1)) > 20  # the brightness does change


def test_strong_changes_more_than_light() -> None:
    data = encode(slope())
    plain = decode(data, SIZE).pixels.astype(int)
    made = [views(data, Augmentation(preset, flip=False), 60) for preset in VARIED]
    light, strong = (np.abs(one - plain).mean() for one in made)
    assert 3 < light < strong


@pytest.mark.parametrize("preset", VARIED)
def test_augment_pixels_makes_another_view_each_time(preset: str) -> None:
    image = np.asarray(slope())
    before = image.copy()
    draw, same = np.random.default_rng(1), np.random.default_rng(1)
    first, second, *_ = (augment_pixels(image, Augmentation(preset), draw) for _ in range(9))
    assert (augment_pixels(image, Augmentation(preset), same) == first).all()
    assert not (first == second).all()
    assert first.shape == image.shape
    assert (image == before).all()
    for _ in range(8):  # every view takes as many numbers, whatever it does with them
        augment_pixels(image, Augmentation("light"), same)
    assert draw.random() == same.random()
    unmirrored = Augmentation(preset, flip=False)
    assert all(rises(augment_pixels(image, unmirrored, draw)) for _ in range(30))


def test_none_leaves_the_image_as_it_is() -> None:
    image, data = np.asarray(slope()), encode(slope())
    assert (augment_pixels(image, Augmentation("none"), np.random.default_rng(0)) == image).all()
    assert (views(data, Augmentation("none"), 3) == decode(data, SIZE).pixels).all()
    assert make_views(data, SIZE, "squash", Augmentation(), []) == []


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("count", range(1, 7))
def test_prediction_views(count: int, flip: bool) -> None:
    image = np.asarray(slope())
    made = prediction_views(image, count, flip)
    assert [view.shape for view in made] == [image.shape] * count
    assert (made[0] == image).all()
    assert len({view.tobytes() for view in made}) == count
    assert [rises(view) for view in made] == [not flip or n % 2 == 0 for n in range(count)]
    contrasts = [np.ptp(view[..., 1].astype(int)) for view in made[:: 2 if flip else 1]]
    assert contrasts == sorted(contrasts, reverse=True)  # ever less of the slope is seen
    if flip and count > 1:
        assert (made[1] == image[:, ::-1]).all()


@pytest.mark.parametrize(("count", "flip", "most"), [(0, True, 12), (13, True, 12), (7, False, 6)])
def test_prediction_views_are_limited(count: int, flip: bool, most: int) -> None:
    with pytest.raises(HeadstartError, match=rf"{count} views .*\. Expected 1 to {most}\. Choose"):
        prediction_views(np.asarray(slope()), count, flip)


def test_unknown_preset() -> None:
    with pytest.raises(
        HeadstartError, match=r"'wild'\. Expected one of: none, light, strong\. Choo"
    ):
        Augmentation("wild")


@pytest.mark.parametrize("indices", [[0], [1], [0, 1]])
def test_broken_images_and_unknown_resize(indices: list[int]) -> None:
    for data, message in [(encode(slope(), "JPEG")[:700], "broken"), (b"text", "not an image")]:
        with pytest.raises(BadImage, match=message):
            make_views(data, SIZE, "squash", Augmentation(), indices)
    with pytest.raises(HeadstartError, match="Unknown resize 'stretch'"):
        make_views(encode(slope()), SIZE, "stretch", Augmentation(), indices)
