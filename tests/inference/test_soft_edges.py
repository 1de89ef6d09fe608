"""Pictures with alpha: what a network sees of them, and that their edges come back without a rim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from p2pcli.errors import UsageError
from p2pcli.image import Colour, Image, colour_of, over
from p2pcli.inference.model_file import read_model, save_model
from p2pcli.inference.soft_edges import with_alpha
from p2pcli.inference.translator import load_model
from p2pcli.io.codec import encode, read_image

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
MODELS: dict[str, Callable[[Image], Image]] = {
    "identity": lambda seen: seen,
    "negative": lambda seen: np.iinfo(seen.dtype).max - seen,
    "swapped": lambda seen: seen[:, :, ::-1],
    "darker": lambda seen: seen // 2,
    "warm and dim": lambda seen: (seen * np.array([0.9, 0.6, 0.2]) + 20).round().astype(seen.dtype),
}
"""What networks may do to colours, pixel by pixel."""


def sprite(dtype: str = "uint8", *, side: int = 48) -> Image:
    """A disc in two flat colours with an edge 8 px wide, colours of their own below alpha 0."""
    top = np.iinfo(dtype).max
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    opacity = ((side / 2 - 6 - np.hypot(x, y)) / 8).clip(0, 1)
    image = np.empty((side, side, 4), dtype)
    image[:, :, :3] = (np.array([0.8, 0.2, 0.1]) * top).round()
    image[: side // 2, :, :3] = (np.array([0.1, 0.3, 0.7]) * top).round()
    image[:, :, 3] = (opacity * top).round()
    return image


def noise(dtype: str, *, side: int = 40) -> Image:
    rng = np.random.default_rng(0)
    image = rng.integers(0, int(np.iinfo(dtype).max) + 1, (side, side, 4)).astype(dtype)
    image[:8, :, 3] = 0
    image[8:16, :, 3] = np.iinfo(dtype).max
    return image


def translated(source: Image, model: Callable[[Image], Image], background: Colour = WHITE) -> Image:
    return with_alpha(model(over(source, background)), source, background=background, network=model)


def off(result: Image, wanted: Image) -> np.ndarray:
    return np.abs(result.astype(np.int64) - wanted.astype(np.int64))


def assert_is_kept(result: Image, source: Image) -> None:
    """Every colour within 1 + half the range over alpha, exact where alpha is all or nothing."""
    top = int(np.iinfo(source.dtype).max)
    alpha = source[:, :, 3].astype(np.float64)
    steps = off(result[:, :, :3], source[:, :, :3]).max(axis=2)
    assert np.array_equal(result[:, :, 3], source[:, :, 3])
    assert (steps[alpha == top] == 0).all() and (steps[alpha == 0] == 0).all()
    soft = alpha > 0
    assert (steps[soft] <= 1 + (top + 1) / 2 / alpha[soft]).all()


@pytest.mark.parametrize("background", [WHITE, BLACK, (255, 128, 0)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("make", [sprite, noise])
def test_a_network_that_changes_nothing_gives_back_every_colour(
    make: Callable[[str], Image], dtype: str, background: Colour
) -> None:
    source = make(dtype)
    assert_is_kept(translated(source, MODELS["identity"], background), source)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("background", [WHITE, BLACK, (255, 128, 0)])
def test_no_rim_appears_whatever_the_network_makes_of_colours(
    model: str, dtype: str, background: Colour
) -> None:
    source = sprite(dtype)
    result = translated(source, MODELS[model], background)
    # What the sprite would be if its plain colours had been translated; seen over black and over white.
    wanted = np.concatenate([MODELS[model](source[:, :, :3]), source[:, :, 3:]], axis=2)
    step = 257 if dtype == "uint16" else 1
    for behind in (BLACK, WHITE, (0, 200, 0)):
        assert off(over(result, behind), over(wanted, behind)).max() <= 2 * step


@pytest.mark.parametrize("model", MODELS)
def test_a_picture_that_is_soft_all_over_keeps_its_colours(model: str) -> None:
    source = sprite()
    source[:, :, 3] = 120
    result = translated(source, MODELS[model])
    assert off(result[:, :, :3], MODELS[model](source[:, :, :3])).max() <= 4


def test_a_painted_background_is_taken_out_as_it_is_nearby() -> None:
    source = sprite(side=96)
    painted = np.zeros((96, 96, 3))
    painted[:, :, 1] = np.linspace(40, 220, 96)[None, :]
    alpha = source[:, :, 3:] / 255
    made = (source[:, :, :3] * alpha + painted * (1 - alpha)).round().astype(np.uint8)
    result = with_alpha(made, source, background=WHITE, network=None)
    for behind in (BLACK, WHITE):
        assert off(over(result, behind), over(source, behind)).max() <= 12


def test_without_soft_pixels_nothing_is_mixed() -> None:
    source = sprite()
    source[:, :, 3] = np.where(source[:, :, 3] > 127, 255, 0)
    made = MODELS["negative"](over(source, WHITE))
    result = with_alpha(made, source, background=WHITE, network=None)
    whole = source[:, :, 3] == 255
    assert np.array_equal(result[whole][:, :3], made[whole])
    assert np.array_equal(result[~whole], source[~whole])


def doubled(picture: Image) -> Image:
    return picture.repeat(2, axis=0).repeat(2, axis=1)


def test_a_network_that_enlarges_also_enlarges_alpha() -> None:
    source = sprite()
    result = with_alpha(doubled(over(source, WHITE)), source, background=WHITE, network=doubled)
    assert_is_kept(result, doubled(source))


def test_alpha_is_enlarged_by_bicubic_where_the_network_makes_something_else_of_it() -> None:
    source = sprite()

    def spoils(picture: Image) -> Image:
        return 255 - doubled(picture)

    result = with_alpha(spoils(over(source, WHITE)), source, background=WHITE, network=spoils)
    back = result[:, :, 3].reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert off(back, source[:, :, 3]).max() <= 12


@pytest.mark.real
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("make", [sprite, noise])
def test_identity_models_give_back_sprites(
    real_data: Path, scale: int, dtype: str, make: Callable[[str], Image]
) -> None:
    path = real_data / "reported" / "identity" / f"identity_x{scale}.pth"
    source = make(dtype)
    result = load_model(path, device="cpu")(source)
    assert_is_kept(result, source.repeat(scale, axis=0).repeat(scale, axis=1))


def test_what_a_model_sees_is_the_picture_over_the_background(tiny_model: Callable[..., Path]) -> None:
    source = sprite()
    for name, background in (("white", WHITE), ("#ff8000", (255, 128, 0)), (0, BLACK)):
        model = load_model(tiny_model(), device="cpu", background=name)
        assert np.array_equal(model.prepare(source, ""), over(source, background))
        whole = source[:, :, 3] == 255
        assert np.array_equal(model(source)[whole][:, :3], model(over(source, background))[whole])


@pytest.mark.parametrize(
    ("text", "colour"),
    [("white", WHITE), ("Black", BLACK), ("#ff8000", (255, 128, 0)), ("#fff", WHITE), (128, (128,) * 3)],
)
def test_colours_are_names_hexadecimal_or_grays(text: str | int, colour: Colour) -> None:
    assert colour_of(text) == colour


@pytest.mark.parametrize("text", ["whit", "", "#12345", "256", "-1", "#ff800080", "٣"])
def test_what_is_no_colour_says_what_is(text: str) -> None:
    with pytest.raises(UsageError, match="Expected a name such as white or black, #rrggbb, or a gray"):
        colour_of(text)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_over_is_the_rounded_mixture(dtype: str) -> None:
    source = noise(dtype)
    top = int(np.iinfo(dtype).max)
    alpha = source[:, :, 3:] / top
    wanted = source[:, :, :3] * alpha + np.array([1.0, 128 / 255, 0]) * top * (1 - alpha)
    assert np.abs(over(source, (255, 128, 0)) - wanted).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp", ".tga", ".qoi", ".jp2"])
def test_files_keep_colours_below_alpha(suffix: str) -> None:
    source = noise("uint8")
    assert np.array_equal(read_image(encode(source, suffix)).image, source)


def test_a_model_that_colours_grays_leaves_no_white_rim(tiny_model: Callable[..., Path]) -> None:
    path = tiny_model(data={"color": "lab"})
    state, recipe, info = read_model(path)
    # It finds no colours at all: grays stay as they are.
    save_model(path, {name: value * 0 for name, value in state.items()}, recipe=recipe, info=info)
    source = sprite()
    source[:, :, :3] = 60
    result = load_model(path, device="cpu", precision="float32")(source)
    assert np.array_equal(result[:, :, 3], source[:, :, 3])
    for behind in (BLACK, WHITE):
        assert off(over(result, behind), over(source, behind)).max() <= 2
