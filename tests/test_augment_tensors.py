"""DiffAugment: what each policy does to pixels, alike for an input and its target."""

from __future__ import annotations

import pytest
import torch

from p2pcli.augment import POLICIES, Augmentation, augment, draw_augmentation


def one(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


def test_brightness_saturation_and_contrast_by_hand() -> None:
    x = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)
    assert augment(x, Augmentation(brightness=one(0.25))).flatten().tolist() == [1.25, 0.25, -0.75]
    assert augment(x + 1, Augmentation(saturation=one(0.5))).flatten().tolist() == [1.5, 1.0, 0.5]
    pixels = torch.tensor([[[[0.0, 4.0]]]])
    assert augment(pixels, Augmentation(contrast=one(1.5))).flatten().tolist() == [-1.0, 5.0]


def test_a_translation_moves_down_and_right_and_uncovers_zeros() -> None:
    x = torch.arange(1.0, 65.0).view(1, 1, 8, 8)
    moved = augment(x, Augmentation(shift=torch.tensor([[1 / 8, 1 / 8]])))
    assert torch.equal(moved[0, 0, 1:, 1:], x[0, 0, :-1, :-1])
    assert moved[0, 0, 0].abs().sum() == moved[0, 0, :, 0].abs().sum() == 0


def test_a_cut_out_hides_a_square_of_half_the_side_around_its_centre() -> None:
    x = torch.ones(1, 2, 8, 8)
    hidden = augment(x, Augmentation(hole=torch.tensor([[0.5, 0.5]])))
    assert hidden[0, :, 2:6, 2:6].sum() == 0
    assert hidden.sum() == 2 * (64 - 16)


def test_a_cut_out_at_the_border_hides_less() -> None:
    hidden = augment(torch.ones(1, 1, 8, 8), Augmentation(hole=torch.tensor([[0.0, 0.0]])))
    assert hidden.sum() == 64 - 4


def test_labels_move_with_their_picture_but_keep_their_values() -> None:
    drawn = draw_augmentation(4, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 2, (4, 5, 16, 16), generator=torch.Generator().manual_seed(1)).float()
    seen = augment(labels, drawn, is_image=False)
    assert set(seen.unique().tolist()) <= {0.0, 1.0}
    plain = Augmentation(shift=drawn.shift, hole=drawn.hole)
    assert torch.equal(seen, augment(labels, plain))


def test_the_same_draw_gives_the_same_picture_and_each_sample_has_its_own() -> None:
    drawn = draw_augmentation(2, generator=torch.Generator().manual_seed(0))
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)).expand(2, 3, 16, 16)
    assert torch.equal(augment(x, drawn), augment(x, drawn))
    assert not torch.equal(augment(x, drawn)[0], augment(x, drawn)[1])


def test_gradients_flow_through_every_policy() -> None:
    x = torch.rand(2, 3, 16, 16).requires_grad_(True)
    weights = torch.rand(2, 3, 16, 16)
    (augment(x, draw_augmentation(2, generator=torch.Generator().manual_seed(2))) * weights).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_draws_only_its_own_numbers(policy) -> None:
    drawn = draw_augmentation(3, policies=[policy])
    present = {name for name, value in vars(drawn).items() if value is not None}
    expected = {
        "color": {"brightness", "saturation", "contrast"},
        "translation": {"shift"},
        "cutout": {"hole"},
    }
    assert present == expected[policy]


def test_draws_stay_within_the_published_ranges() -> None:
    drawn = draw_augmentation(2000, generator=torch.Generator().manual_seed(0))
    ranges = {
        "brightness": (-0.5, 0.5),
        "saturation": (0, 2),
        "contrast": (0.5, 1.5),
        "shift": (-0.125, 0.125),
    }
    for name, (low, high) in ranges.items():
        values = getattr(drawn, name)
        assert low <= values.min() < low + 0.02
        assert high - 0.02 < values.max() <= high
