"""Cycle consistency, identity, and the pool of earlier fakes (CycleGAN, 1703.10593)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from p2pcli.losses.reconstruction import l1


def cycle(returned: Tensor, original: Tensor) -> Tensor:
    """Mean |G_B(G_A(x)) − x| (section 3.2, equation 2); the paper's weight is 10."""
    return l1(returned, original)


def identity(unchanged: Tensor, original: Tensor) -> Tensor:
    """Mean |G_A(y) − y| for y already in the output domain (section 5.2); weight: half of the cycle's."""
    return l1(unchanged, original)


class ImagePool:
    """A history of generated images for D (section 4, after Shrivastava et al. 2017, 1612.07828).

    While it fills, it returns what it is given. Then each image, with probability ½, is swapped for a stored
    one and takes its place, or is returned itself. Size 0 returns everything as it is. Draws come from its
    own seeded source, whose state is in `state_dict`.
    """

    def __init__(self, size: int = 50, *, seed: int = 0) -> None:
        self.size = size
        self._random = random.Random(seed)
        self._images: list[Tensor] = []

    def query(self, images: Tensor) -> Tensor:
        """(B, C, H, W) for D: new images or earlier ones, without gradients."""
        images = images.detach()
        if self.size == 0:
            return images
        shown = torch.stack([self._exchange(image) for image in images])
        is_last = images.is_contiguous(memory_format=torch.channels_last)
        return shown.contiguous(memory_format=torch.channels_last if is_last else torch.contiguous_format)

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self._images) < self.size:
            self._images.append(image.clone())
            return image
        if self._random.uniform(0, 1) > 0.5:
            place = self._random.randint(0, self.size - 1)
            earlier, self._images[place] = self._images[place], image.clone()
            # A restored pool lies on the CPU, wherever the run trains.
            return earlier.to(image.device)
        return image

    def state_dict(self) -> dict[str, Any]:
        """Tensors, ints and None only, so that it loads with `weights_only=True`."""
        version, words, gauss = self._random.getstate()
        return {"images": list(self._images), "random": [version, list(words), gauss]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self._images = list(state["images"])
        version, words, gauss = state["random"]
        self._random.setstate((version, tuple(words), gauss))
