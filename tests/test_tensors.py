"""Images to tensors and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from p2pcli.tensors import from_bytes, to_batch, to_image, to_images, to_tensor

RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32, 1).repeat(3, axis=2)


def test_all_8_bit_values_survive_the_way_there_and_back() -> None:
    assert np.array_equal(to_image(to_tensor(RAMP)), RAMP)


def test_all_16_bit_values_survive_the_way_there_and_back() -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    assert np.array_equal(to_image(to_tensor(ramp), dtype=np.uint16), ramp)


def test_black_is_minus_one_and_white_is_one() -> None:
    tensor = to_tensor(RAMP)
    assert (tensor.shape, tensor.dtype) == ((3, 8, 32), torch.float32)
    assert (float(tensor.min()), float(tensor.max())) == (-1, 1)


def test_values_equal_the_published_normalisation() -> None:
    published = (torch.from_numpy(RAMP).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(to_tensor(RAMP), published, atol=2e-7, rtol=0)


def test_results_are_rounded_and_clipped_not_truncated_or_wrapped() -> None:
    tensor = torch.tensor([-1.2, -1.0, 0.6 / 127.5 - 1, 254.6 / 127.5 - 1, 1.3]).reshape(1, 1, 5)
    assert to_image(tensor).ravel().tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_batch_equals_its_images(channels_last: bool) -> None:
    images = [RAMP, RAMP[::-1], 255 - RAMP]
    batch = to_batch(images, channels_last=channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert batch.is_contiguous(memory_format=layout)
    assert torch.equal(batch, torch.stack([to_tensor(image) for image in images]))
    assert np.array_equal(to_images(batch), np.stack(images))


def test_bytes_become_the_same_floats_as_images() -> None:
    assert torch.equal(from_bytes(torch.from_numpy(RAMP[None]))[0], to_tensor(RAMP))


def test_bfloat16_results_become_images_too() -> None:
    image = to_image(to_tensor(RAMP).bfloat16())
    assert np.abs(image.astype(int) - RAMP).max() <= 1


def test_a_read_only_image_is_taken_as_it_is() -> None:
    image = RAMP.copy()
    image.flags.writeable = False
    assert torch.equal(to_tensor(image), to_tensor(RAMP))


def test_floats_are_refused() -> None:
    with pytest.raises(TypeError, match="uint8 or uint16, not float64"):
        to_tensor(np.zeros((2, 2, 3)))
