"""Conditions: each kind of input by hand on a few pixels, from pictures to planes and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from p2pcli.conditions import (
    ConditionError,
    as_picture,
    channels_of,
    further_layers,
    input_planes,
    instance_ids,
    main_layers,
    shown_input,
    target_planes,
)
from p2pcli.conditions.lab import lab_to_rgb, rgb_to_lab
from p2pcli.conditions.labels import boundaries
from p2pcli.image import Image
from p2pcli.recipe import Data
from p2pcli.recipe.palettes import PALETTES

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def ids(*rows: list[int], dtype: type = np.uint8) -> Image:
    return np.asarray(rows, dtype)[:, :, None]


def planes_of(image: Image, data: Data, **further: Image) -> torch.Tensor:
    height, width = image.shape[:2]
    main = main_layers(image, data, width=width, height=height, name="x.png", mask=further.get("mask"))
    more = further_layers(further, data, key="shoes/x", width=width, height=height)
    packed = main if more is None else np.concatenate([main, more], axis=2)
    planes = input_planes(torch.from_numpy(packed)[None], data)
    assert planes.shape == (1, data.input_planes, height, width)
    return planes[0]


def test_a_label_map_has_one_plane_an_id() -> None:
    planes = planes_of(ids([0, 2], [1, 1]), Data(labels=3))
    assert planes.tolist() == [[[1, 0], [0, 0]], [[0, 0], [1, 1]], [[0, 1], [0, 0]]]


def test_dontcare_is_the_plane_after_the_labels() -> None:
    planes = planes_of(ids([0, 255]), Data(labels=2, dontcare=255))
    assert planes[2].tolist() == [[0, 1]]


def test_ids_of_more_than_a_byte_survive() -> None:
    planes = planes_of(ids([0, 700], dtype=np.uint16), Data(labels=701))
    assert planes[700].tolist() == [[0, 1]]


def test_a_label_out_of_range_is_named_with_file_and_place() -> None:
    with pytest.raises(
        ConditionError, match=r"x\.png: label 7 at column 1, row 0; expected 0 to 2 .*data\.lab"
    ):
        planes_of(ids([0, 7]), Data(labels=3))


def test_a_coloured_label_map_without_a_palette_is_refused() -> None:
    with pytest.raises(ConditionError, match=r"x\.png: a map in colour.*data\.palette"):
        planes_of(np.asarray([[RED, GREEN]], np.uint8), Data(labels=2))


def test_ids_stored_as_gray_rgb_are_ids() -> None:
    image = np.repeat(ids([0, 1]), 3, axis=2)
    assert planes_of(image, Data(labels=2))[1].tolist() == [[0, 1]]


def test_a_palette_turns_colours_into_ids() -> None:
    data = Data(labels=2, palette=(RED, GREEN))
    assert planes_of(np.asarray([[GREEN, RED]], np.uint8), data).argmax(0).tolist() == [[1, 0]]


def test_a_smeared_edge_takes_a_label_from_beside_it() -> None:
    # Half red, half blue is nearest to the palette's purple, which is nowhere near.
    data = Data(labels=3, palette=(RED, BLUE, (128, 0, 160)))
    image = np.asarray([[RED] * 4 + [(120, 0, 110)] + [BLUE] * 4] * 4, np.uint8)
    assert set(planes_of(image, data).argmax(0).flatten().tolist()) == {0, 1}


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_a_colour_that_the_palette_lacks_is_refused_and_named(share: float) -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[:] = RED
    image.reshape(-1, 3)[: int(400 * share)] = (10, 200, 180)
    with pytest.raises(ConditionError, match=r"x\.png: .*most often \(10, 200, 180\)"):
        planes_of(image, Data(labels=2, palette=(RED, BLUE)))


@pytest.mark.parametrize("name", PALETTES)
def test_every_named_palette_reads_its_own_colours(name: str) -> None:
    colours = np.asarray(PALETTES[name], np.uint8)[None]
    data = Data(labels=colours.shape[1], palette=name)
    assert planes_of(colours, data).argmax(0).tolist() == [list(range(colours.shape[1]))]


def test_both_pixels_of_a_differing_pair_are_boundary() -> None:
    marked = boundaries(torch.tensor([[[1, 1, 2], [1, 1, 2], [3, 1, 2]]]))
    assert marked[0, 0].tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 1]]


def test_instances_come_from_the_third_picture() -> None:
    data = Data(labels=1, instances="inst")
    planes = planes_of(ids([0, 0, 0]), data, inst=ids([5, 5, 900], dtype=np.uint16))
    assert planes[1].tolist() == [[0, 1, 1]]


def test_instance_ids_reach_the_batch() -> None:
    data = Data(labels=1, instances="inst")
    main = main_layers(ids([0, 0]), data, width=2, height=1, name="x")
    more = further_layers({"inst": ids([7, 26001], dtype=np.uint16)}, data, key="x", width=2, height=1)
    packed = torch.from_numpy(np.concatenate([main, more], axis=2))[None]
    found = instance_ids(packed, data)
    assert found is not None and found.tolist() == [[[[7, 26001]]]]


def test_a_missing_third_picture_is_named() -> None:
    with pytest.raises(ConditionError, match=r"shoes/x: no picture in inst/"):
        planes_of(ids([0]), Data(labels=1, instances="inst"))


def test_transparent_pixels_are_holes_and_hidden() -> None:
    image = np.asarray([[[255, 255, 255, 255], [255, 255, 255, 0]]], np.uint8)
    planes = planes_of(image, Data(mask=True))
    assert planes[:, 0, 0].tolist() == [1, 1, 1, 0]
    assert planes[:, 0, 1].tolist() == [0, 0, 0, 1]


def test_white_in_the_mask_picture_is_a_hole() -> None:
    image = np.full((1, 2, 3), 255, np.uint8)
    assert planes_of(image, Data(mask=True), mask=ids([0, 255]))[3].tolist() == [[0, 1]]


def test_a_picture_without_any_hole_information_is_refused() -> None:
    with pytest.raises(ConditionError, match="no transparent pixels"):
        planes_of(np.zeros((1, 1, 3), np.uint8), Data(mask=True))


def test_a_result_replaces_the_holes_alone() -> None:
    data = Data(mask=True)
    packed = torch.tensor([[[[255, 255, 255, 0], [9, 9, 9, 255]]]], dtype=torch.uint8)
    picture = as_picture(torch.full((1, 3, 1, 2), -0.5), packed, data)
    assert picture[0, :, 0].T.tolist() == [[1, 1, 1], [-0.5, -0.5, -0.5]]


def test_further_pictures_follow_in_their_order() -> None:
    data = Data(extra={"pose": 1, "depth": 3})
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    assert planes_of(white, data, depth=white, pose=black)[:, 0, 0].tolist() == [1, 1, 1, -1, 1, 1, 1]


def test_the_class_of_a_picture_is_a_constant_plane() -> None:
    planes = planes_of(np.zeros((2, 2, 3), np.uint8), Data(classes=("bags", "shoes")))
    assert planes[3].unique().tolist() == [0] and planes[4].unique().tolist() == [1]


def test_a_picture_without_a_class_is_refused_with_the_classes() -> None:
    with pytest.raises(ConditionError, match=r"no folder of its path is a class.*bags, hats"):
        planes_of(np.zeros((1, 1, 3), np.uint8), Data(classes=("bags", "hats")))


# From the published formulas, D65 and the 2° observer; L to 4 digits as the CIE tables have it.
@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        (RED, (53.2408, 80.0925, 67.2032)),
        (GREEN, (87.7347, -86.1827, 83.1793)),
        (BLUE, (32.2970, 79.1875, -107.8602)),
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
    ],
)
def test_lab_of_the_primaries(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    found = rgb_to_lab(torch.tensor([[[rgb]]], dtype=torch.uint8))[0, :, 0, 0]
    assert found.tolist() == pytest.approx(lab, abs=0.01)


def test_dark_colours_and_those_that_no_screen_has_are_as_in_published_preprocessing() -> None:
    # Numbers of scikit-image, which the published colourisation uses.
    dark = rgb_to_lab(torch.tensor([[[[11, 11, 11], [12, 0, 0]]]], dtype=torch.uint8))[0, :, 0].T
    expected = torch.tensor([[3.0229, -0.0002, 0.0004], [0.7063, 3.1674, 1.1160]])
    torch.testing.assert_close(dark, expected, atol=1e-3, rtol=0)
    beyond = torch.tensor([[10.0, -20.0, 110.0], [30.0, 0.0, 100.0]]).T.reshape(1, 3, 1, 2)
    clipped = torch.tensor([[0.10355, 0.12762, 0.0], [0.35884, 0.26881, 0.0]])
    torch.testing.assert_close(lab_to_rgb(beyond)[0, :, 0].T, clipped, atol=1e-4, rtol=0)


def test_lab_and_back_is_the_same_picture() -> None:
    rgb = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8, generator=torch.manual_seed(0))
    back = (lab_to_rgb(rgb_to_lab(rgb)) * 255).round().permute(0, 2, 3, 1)
    assert torch.equal(back, rgb.float())


def test_lightness_goes_in_and_colours_come_out_normalised() -> None:
    data = Data(color="lab")
    red = torch.tensor([[[RED]]], dtype=torch.uint8)
    assert input_planes(red, data).flatten().tolist() == pytest.approx([53.2408 / 50 - 1], abs=1e-4)
    wanted = [80.0925 / 110, 67.2032 / 110]
    assert target_planes(red, data).flatten().tolist() == pytest.approx(wanted, abs=1e-4)


def test_true_colours_on_the_source_lightness_give_the_source() -> None:
    data = Data(color="lab")
    rgb = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8, generator=torch.manual_seed(1))
    picture = as_picture(target_planes(rgb, data), rgb, data)
    assert torch.equal(((picture + 1) * 127.5).round().permute(0, 2, 3, 1), rgb.float())


def test_labels_are_shown_in_their_palette() -> None:
    data = Data(labels=2, palette=(RED, GREEN))
    packed = main_layers(np.asarray([[GREEN, RED]], np.uint8), data, width=2, height=1, name="x")
    assert shown_input(packed, data).tolist() == [[list(GREEN), list(RED)]]


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (Data(), 3),
        (Data(input_channels=1), 1),
        (Data(labels=300, instances="inst"), 4),
        (Data(mask=True), 4),
        (Data(extra={"pose": 3}, classes=("a",)), 7),
        (Data(color="lab"), 3),
    ],
)
def test_packed_channels_are_back_to_back(data: Data, count: int) -> None:
    places = list(channels_of(data).values())
    assert [place.start for place in places] == [0, *(place.stop for place in places[:-1])]
    assert places[-1].stop == count


def test_packed_maps_with_an_id_that_is_none_say_which_and_what_is_expected() -> None:
    data = Data(labels=3)
    packed = np.zeros((4, 4, 2), np.uint8)
    packed[1, 2, 0] = 9
    with pytest.raises(ConditionError, match=r"label 9; expected 0 to 2 \(data\.labels = 3\)"):
        input_planes(torch.from_numpy(packed)[None], data)
    with pytest.raises(ConditionError, match=r"label 9; expected 0 to 2 \(data\.labels = 3\)"):
        shown_input(packed, data)
