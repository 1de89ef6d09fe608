"""The table of training runs, each made once, whatever number of experiments it serves."""

from __future__ import annotations

from dataclasses import dataclass

from shapes.data import LABELS, SIDE_PX


@dataclass(frozen=True)
class Run:
    """One training run of the public API."""

    data: str
    """Folder of the training set."""
    recipe: str
    steps: int
    overrides: tuple[str, ...]
    begins_with: str | None = None
    """The run whose generator it starts from."""


# 286 → 256 as published, at half the size.
_SQUARES = (f"data.size={SIDE_PX}", f"data.load_size={SIDE_PX * 143 // 128}", "data.fit=stretch")
_LABELS = (f"data.labels={len(LABELS)}",)
_NARROW = ("generator.channels=24", "discriminator.channels=24")
_PIX2PIX = (*_SQUARES, *_LABELS, *_NARROW)
# The perceptual term needs VGG19's weights, which do not come with p2p.
_SYNTHESIS = (*_SQUARES, *_LABELS, 'data.instances="labels"', "losses.perceptual=0", "train.batch_size=1")
_HD = (
    *_SYNTHESIS,
    "generator.channels=16",
    "generator.downsamplings=3",
    "generator.blocks=4",
    "discriminator.channels=16",
)
_SPADE = (
    *_SYNTHESIS,
    "generator.channels=8",
    "generator.hidden=32",
    "discriminator.channels=16",
    # With batches of one, running statistics would be those of no picture.
    'inference.statistics="sample"',
)
_CYCLE = (
    *_SQUARES,
    "generator.channels=16",
    "generator.blocks=4",
    "discriminator.channels=16",
    # As in the paper's own ablation (section 5.1.3); the identity term is for paintings.
    "losses.identity=0",
)
_LARGER = ("generator.channels=24", "generator.blocks=4", "discriminator.channels=16", "train.batch_size=4")


def _satellite(*overrides: str) -> Run:
    return Run("satellite", "pix2pix", 6000, (*_PIX2PIX, *overrides))


def _hd(*overrides: str) -> Run:
    return Run("relief", "pix2pixhd-512", 1600, (*_HD, *overrides))


RUNS: dict[str, Run] = {
    "reader": Run(
        "reading", "pix2pix", 6000, (*_SQUARES, *_NARROW, "generator.dropout=false", "losses.gan=0")
    ),
    "l1": _satellite("losses.gan=0"),
    "l1-cgan": _satellite(),
    "gan": _satellite("losses.l1=0", "discriminator.conditional=false"),
    "cgan": _satellite("losses.l1=0"),
    "encoder-decoder-l1": _satellite("generator.skips=false", "losses.gan=0"),
    "encoder-decoder-l1-cgan": _satellite("generator.skips=false"),
    "patch-1": _satellite("discriminator.receptive_field=1"),
    "patch-16": _satellite("discriminator.receptive_field=16"),
    "patch-142": _satellite("discriminator.receptive_field=142"),
    "pix2pixhd": _hd(),
    "pix2pixhd-one-scale": _hd("discriminator.scales=1"),
    "pix2pixhd-no-matching": _hd("losses.feature_matching=0"),
    "spade": Run("relief", "spade", 1600, _SPADE),
    "cyclegan": Run("domains", "cyclegan", 1000, _CYCLE),
    "two-gans": Run("domains", "cyclegan", 1000, (*_CYCLE, "losses.cycle=0")),
    "srresnet": Run("photos", "srresnet", 2500, (*_LARGER, "train.learning_rate=1e-3")),
    # As long as SRGAN and at its rates: what the adversary changes, and not what more steps do.
    "srresnet-longer": Run(
        "photos",
        "srresnet",
        1200,
        (*_LARGER, 'train.decay="step"', "train.decay_every=600"),
        begins_with="srresnet",
    ),
    "srgan": Run(
        "photos",
        "srgan",
        1200,
        (*_LARGER, "losses.perceptual=0", "losses.l2=1", "train.decay_every=600"),
        begins_with="srresnet",
    ),
}
"""Name → run. `reader` reads labels off satellite pictures, as an FCN does in the paper."""
