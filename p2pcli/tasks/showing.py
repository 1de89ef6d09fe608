"""What discriminators are shown: images as they are, or under DiffAugment, real and fake alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from p2pcli.augment import Policy, augment, draw_augmentation

Change = Callable[[Tensor, bool], Tensor]
"""(what D is to see (B, C, H, W), whether it has colours) → what it sees."""


def draw_change(batch_size: int, policies: Sequence[Policy]) -> Change:
    """One draw of DiffAugment (2006.10738) from torch's own generator; without policies nothing is drawn.

    All that D compares goes through the same draw: input and target stay aligned, and so do the feature maps
    of a fake and its real image.
    """
    if not policies:
        return _as_it_is
    drawn = draw_augmentation(batch_size, policies=policies)

    def change(images: Tensor, has_colours: bool) -> Tensor:
        return augment(images, drawn, is_image=has_colours)

    return change


def _as_it_is(images: Tensor, has_colours: bool) -> Tensor:
    return images
