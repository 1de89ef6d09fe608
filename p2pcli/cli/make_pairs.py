"""`p2p make-pairs`: one sub-command per maker, each with the maker's own options.

The options are spelt out here because importing the makers costs too much for a help page;
tests/cli/test_cli_make_pairs.py holds them against the makers' fields.
"""

# No `from __future__ import annotations` here: some 120 annotations would be parsed anew at every start.
from functools import partial
from typing import Annotated, Literal

import typer

from p2pcli.cli.grouped import sharing
from p2pcli.cli.help import Page, Pages, help_page
from p2pcli.cli.making import Shared, run_maker

app = typer.Typer(cls=Pages, rich_markup_mode=None, add_completion=False)

HELP = help_page(
    "p2p make-pairs edges photos/ film.mp4 -o pairs/edges",
    """Turn photos, folders and films into a paired dataset: each picture is the target, and a maker draws
    the input that a network shall learn to turn back into it.

    The result is a Parquet dataset with the columns input and target, which p2p train and
    datasets.load_dataset open. Run the same command again to go on after an interruption.""",
)


@app.callback(help=HELP)
def _makers() -> None: ...


def _option(name: str, text: str, *, panel: str, default: str = "") -> typer.models.OptionInfo:
    """An option of a maker. None stands for "not given", so the maker's own default is only shown."""
    shown = f" [default: {default}]" if default else ""
    info: typer.models.OptionInfo = typer.Option(
        name, help=f"{text}{shown}", show_default=False, rich_help_panel=panel
    )
    return info


_edges = partial(_option, panel="How the drawing is made")
_gray = partial(_option, panel="How colour becomes gray")
_downsample = partial(_option, panel="How detail is lost")
_mask = partial(_option, panel="Which holes are cut")
_restore = partial(_option, panel="What age does to the picture")


@app.command(
    "edges",
    cls=Page,
    short_help="Line drawing → photo.",
    help=help_page(
        "p2p make-pairs edges photos/ -o pairs/edges",
        """Pairs of line drawing and photo. The drawing is Canny's with automatic thresholds, or Sobel, or a
        difference of Gaussians (dog), or an extended one (xdog).""",
    ),
)
@sharing(Shared)
def edges(
    context: typer.Context,
    shared: Shared,
    *,
    method: Annotated[
        Literal["canny", "sobel", "dog", "xdog"] | None,
        _edges("--method", "Thin lines, soft gradients, pen lines, or ink with dark areas.", default="canny"),
    ] = None,
    sigma: Annotated[
        float | None,
        _edges("--sigma", "Gaussian blur before detection, in px.", default="1.2; dog, xdog 0.8"),
    ] = None,
    detail: Annotated[
        float | None,
        _edges("--detail", "canny: share of pixels above the automatic threshold.", default="0.12"),
    ] = None,
    low: Annotated[
        float | None, _edges("--low", "canny: low threshold, 0 to 1443.", default="0.4 × high")
    ] = None,
    high: Annotated[
        float | None, _edges("--high", "canny: high threshold, 0 to 1443.", default="automatic")
    ] = None,
    aperture: Annotated[
        int | None, _edges("--aperture", "canny, sobel: side of the Sobel kernel, 3 or 5.", default="3")
    ] = None,
    l2: Annotated[
        bool | None,
        _edges("--l2/--l1", "canny: gradient strength √(dx² + dy²) or |dx| + |dy|.", default="l2"),
    ] = None,
    gamma: Annotated[
        float | None, _edges("--gamma", "sobel: below 1 shows weak edges more.", default="1")
    ] = None,
    k: Annotated[
        float | None, _edges("--k", "dog, xdog: the wider Gaussian has k × sigma.", default="1.6")
    ] = None,
    tau: Annotated[
        float | None, _edges("--tau", "dog: weight of the wider Gaussian.", default="0.98")
    ] = None,
    p: Annotated[float | None, _edges("--p", "xdog: how strongly edges are sharpened.", default="15")] = None,
    epsilon: Annotated[
        float | None, _edges("--epsilon", "xdog: level below which ink begins.", default="automatic")
    ] = None,
    phi: Annotated[
        float | None, _edges("--phi", "dog, xdog: steepness of the soft threshold.", default="10")
    ] = None,
    threshold: Annotated[
        float | None,
        _edges(
            "--threshold", "sobel, dog, xdog: strength from which a pixel is black.", default="soft lines"
        ),
    ] = None,
    thin: Annotated[
        bool | None, _edges("--thin/--no-thin", "sobel, dog, xdog: lines of one pixel.", default="no-thin")
    ] = None,
    min_length: Annotated[
        int | None, _edges("--min-length", "Lines of fewer pixels are removed.", default="5")
    ] = None,
    invert: Annotated[
        bool | None, _edges("--invert/--no-invert", "Light lines on black.", default="no-invert")
    ] = None,
) -> None:
    """Make pairs of drawing and photo."""
    given = {
        "method": method, "sigma": sigma, "detail": detail, "low": low, "high": high, "aperture": aperture,
        "l2": l2, "gamma": gamma, "k": k, "tau": tau, "p": p, "epsilon": epsilon, "phi": phi,
        "threshold": threshold, "thin": thin, "min_length": min_length, "invert": invert,
    }  # fmt: skip
    run_maker(context, "edges", given, shared)


@app.command(
    "gray",
    cls=Page,
    short_help="Gray → colour.",
    help=help_page("p2p make-pairs gray photos/ -o pairs/gray", "Pairs of gray and colour picture."),
)
@sharing(Shared)
def gray(
    context: typer.Context,
    shared: Shared,
    *,
    method: Annotated[
        Literal["bt601", "bt709", "lightness", "average"] | None,
        _gray("--method", "JPEG's luma, HDTV luma, CIELAB L*, or the mean of R, G, B.", default="bt601"),
    ] = None,
    gamma: Annotated[
        float | None, _gray("--gamma", "Exponent on the gray value; above 1 darkens.", default="1")
    ] = None,
) -> None:
    """Make pairs of gray and colour picture."""
    run_maker(context, "gray", {"method": method, "gamma": gamma}, shared)


@app.command(
    "downsample",
    cls=Page,
    short_help="Small → large.",
    help=help_page(
        "p2p make-pairs downsample photos/ --factor 4 -o pairs/small",
        "Pairs of coarse and sharp picture: shrink, then noise, then JPEG, then back to size.",
    ),
)
@sharing(Shared)
def downsample(
    context: typer.Context,
    shared: Shared,
    *,
    factor: Annotated[
        int | None, _downsample("--factor", "Each side becomes 2, 3, 4 or 8 times smaller.", default="4")
    ] = None,
    kernel: Annotated[
        Literal["bicubic", "area", "bilinear", "lanczos", "nearest"] | None,
        _downsample("--kernel", "How it shrinks; antialiased except for nearest.", default="bicubic"),
    ] = None,
    noise_sigma: Annotated[
        float | None, _downsample("--noise-sigma", "Gaussian noise, in steps of 8 bits.", default="0")
    ] = None,
    jpeg_quality: Annotated[
        int | None, _downsample("--jpeg-quality", "JPEG artefacts of this quality, 1 to 100.", default="none")
    ] = None,
    restore_size: Annotated[
        bool | None,
        _downsample(
            "--restore-size/--keep-small", "Bring it back to the target's size.", default="restore-size"
        ),
    ] = None,
) -> None:
    """Make pairs of coarse and sharp picture."""
    given = {
        "factor": factor, "kernel": kernel, "noise_sigma": noise_sigma, "jpeg_quality": jpeg_quality,
        "restore_size": restore_size,
    }  # fmt: skip
    run_maker(context, "downsample", given, shared)


@app.command(
    "mask",
    cls=Page,
    short_help="Holes → whole.",
    help=help_page(
        "p2p make-pairs mask photos/ -o pairs/holes",
        "Pairs of a picture with holes (transparent pixels) and the whole one, to learn inpainting.",
    ),
)
@sharing(Shared)
def mask(
    context: typer.Context,
    shared: Shared,
    *,
    shape: Annotated[
        Literal["rectangles", "brush", "both"] | None,
        _mask("--shape", "Large rectangles, strokes of a brush, or either.", default="both"),
    ] = None,
    area: Annotated[
        float | None, _mask("--area", "Share of the picture that is hidden at least.", default="0.25")
    ] = None,
    smallest: Annotated[
        float | None, _mask("--smallest", "Shortest side of a rectangle, as a share.", default="0.2")
    ] = None,
    largest: Annotated[
        float | None, _mask("--largest", "Longest side of a rectangle, as a share.", default="0.5")
    ] = None,
    brush_width: Annotated[
        float | None, _mask("--brush-width", "Largest width of a stroke, as a share.", default="0.08")
    ] = None,
) -> None:
    """Make pairs of a picture with holes and the whole one."""
    given = {
        "shape": shape, "area": area, "smallest": smallest, "largest": largest, "brush_width": brush_width,
    }  # fmt: skip
    run_maker(context, "mask", given, shared)


@app.command(
    "restore",
    cls=Page,
    short_help="Old film → clean.",
    help=help_page(
        "p2p make-pairs restore photos/ -o pairs/old",
        "Pairs of a picture as an old film shows it and the clean one, to learn restoration.",
    ),
)
@sharing(Shared)
def restore(
    context: typer.Context,
    shared: Shared,
    *,
    blur_sigma: Annotated[
        float | None, _restore("--blur-sigma", "Gaussian blur, in px.", default="0.8")
    ] = None,
    fade: Annotated[
        float | None, _restore("--fade", "Loss of colour and contrast, 0 to 1.", default="0.3")
    ] = None,
    flicker: Annotated[
        float | None, _restore("--flicker", "Largest change of brightness, 0 to 1.", default="0.12")
    ] = None,
    noise_sigma: Annotated[
        float | None, _restore("--noise-sigma", "Grain, in steps of 8 bits.", default="10")
    ] = None,
    dust: Annotated[int | None, _restore("--dust", "Specks and hairs.", default="12")] = None,
    scratches: Annotated[
        int | None, _restore("--scratches", "Lines that run down the frame.", default="3")
    ] = None,
    jpeg_quality: Annotated[
        int | None, _restore("--jpeg-quality", "JPEG artefacts of this quality, 1 to 100.", default="60")
    ] = None,
) -> None:
    """Make pairs of an old and a clean picture."""
    given = {
        "blur_sigma": blur_sigma, "fade": fade, "flicker": flicker, "noise_sigma": noise_sigma,
        "dust": dust, "scratches": scratches, "jpeg_quality": jpeg_quality,
    }  # fmt: skip
    run_maker(context, "restore", given, shared)
