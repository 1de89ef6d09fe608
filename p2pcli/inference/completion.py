"""What a network with conditions makes of a packed input, as the picture that it stands for."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from p2pcli.conditions import as_picture, channels_of
from p2pcli.image import Image, resize
from p2pcli.inference.fitting import with_channels
from p2pcli.recipe import Data
from p2pcli.tensors import stacked, to_images


def completed(output: Tensor, packed: Image, source: Image, data: Data) -> Image:
    """The result for one `source`: with its lightness where colours alone were made, around holes as it is.

    `output` (C, H, W) is what the network made of `packed`, padded. The result is as large as the source, and
    has no alpha.
    """
    height, width = packed.shape[:2]
    left, top = (output.shape[2] - width) // 2, (output.shape[1] - height) // 2
    cropped = output[None, :, top : top + height, left : left + width]
    picture = as_picture(cropped, stacked([packed]).to(output.device), data)
    dtype = np.dtype(np.uint8) if data.labels is not None else source.dtype
    image: Image = to_images(picture, dtype=dtype)[0]
    if image.shape[:2] != source.shape[:2]:
        image = resize(image, source.shape[1], source.shape[0], kernel="bicubic")
    if data.mask:
        # From the source itself, which may have 16 bits: what is not in a hole stays as it is.
        hole = packed[:, :, channels_of(data)["hole"]] > 0
        opaque = source[:, :, :3] if source.shape[2] == 4 else source
        image = np.where(hole, image, with_channels(opaque, image.shape[2]))
    return np.ascontiguousarray(image)
