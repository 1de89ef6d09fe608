"""What the papers claim, and the runs and measures that try it: one entry a claim, lettered."""

from __future__ import annotations

from dataclasses import dataclass

from shapes.verdicts import Larger

REAL = "real pictures"
BICUBIC = "bicubic"
"""Rows that no run makes."""


@dataclass(frozen=True)
class Falls:
    """The weighted loss terms of a run, added up, are lower at its end than at its beginning."""

    run: str
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """A claim of a paper. Rows, checks and pictures go by the names of `rows`."""

    claim: str
    source: str
    """Where the paper says so, and what it measured."""
    task: str
    """What is translated: satellite, relief, domains or photos (see `data`)."""
    rows: dict[str, str]
    """How it is called → run."""
    measures: tuple[str, ...]
    checks: tuple[Larger, ...]
    falls: tuple[Falls, ...] = ()
    note: str = ""
    """What to know when reading the numbers, whatever they are."""


def _each_over(measure: str, better: tuple[str, ...], worse: tuple[str, ...]) -> tuple[Larger, ...]:
    return tuple(Larger(measure, more, less) for more in better for less in worse)


EXPERIMENTS: dict[str, Experiment] = {
    "a": Experiment(
        claim="L1 alone is blurrier and less colourful than L1 + cGAN",
        source="pix2pix, section 4.2, figure 7: histogram intersections on Cityscapes (L, a, b) .81 / .69 / "
        ".70 for L1, .86 / .84 / .82 for L1 + cGAN",
        task="satellite",
        rows={"L1": "l1", "L1 + cGAN": "l1-cgan"},
        measures=("energy", "gradient", "steepness", "L", "a", "b", "l1"),
        checks=tuple(Larger(measure, "L1 + cGAN", "L1") for measure in ("energy", "gradient", "a", "b")),
    ),
    "b": Experiment(
        claim="An unconditional GAN ignores its input",
        source="pix2pix, section 4.2, table 1: pixel accuracy .22 for GAN, .57 for cGAN, .66 for L1 + cGAN",
        task="satellite",
        rows={"GAN, unconditional": "gan", "cGAN": "cgan", "L1 + cGAN": "l1-cgan"},
        measures=("own", "accuracy", "iou", "spread"),
        checks=tuple(
            Larger(measure, "cGAN", "GAN, unconditional") for measure in ("own", "accuracy", "spread")
        ),
        note="The skips of a U-Net carry the input to the output from the first step on: its layout shows "
        "through until a GAN has had the time to hide it",
    ),
    "c": Experiment(
        claim="A U-Net beats an encoder-decoder, with L1 and with L1 + cGAN",
        source="pix2pix, section 4.2, table 2: pixel accuracy .35 → .48 with L1, .29 → .55 with L1 + cGAN",
        task="satellite",
        rows={
            "encoder-decoder, L1": "encoder-decoder-l1",
            "encoder-decoder, L1 + cGAN": "encoder-decoder-l1-cgan",
            "U-Net, L1": "l1",
            "U-Net, L1 + cGAN": "l1-cgan",
        },
        measures=("accuracy", "iou", "steepness", "l1"),
        checks=(
            Larger("accuracy", "U-Net, L1", "encoder-decoder, L1"),
            Larger("accuracy", "U-Net, L1 + cGAN", "encoder-decoder, L1 + cGAN"),
            Larger("l1", "encoder-decoder, L1", "U-Net, L1"),
            Larger("l1", "encoder-decoder, L1 + cGAN", "U-Net, L1 + cGAN"),
        ),
        note="With batches of one, where the paper has ten",
    ),
    "d": Experiment(
        claim="Patches of 16 and 70 px beat single pixels and the whole picture",
        source="pix2pix, section 4.4, table 3: pixel accuracy .39 for 1 px, .65 for 16 px, "
        ".66 for 70 px, .42 for 286 px",
        task="satellite",
        rows={"1 px": "patch-1", "16 px": "patch-16", "70 px": "l1-cgan", "142 px, the whole": "patch-142"},
        measures=("accuracy", "iou", "steepness", "energy", "a", "b"),
        checks=(
            *_each_over("steepness", ("16 px", "70 px"), ("1 px", "142 px, the whole")),
            *_each_over("accuracy", ("16 px", "70 px"), ("1 px", "142 px, the whole")),
        ),
    ),
    "e": Experiment(
        claim="Feature matching and several scales of D help pix2pixHD",
        source="pix2pixHD, section 4.1: without feature matching, or with one D, judges prefer the result "
        "less often",
        task="relief",
        rows={
            "pix2pixHD": "pix2pixhd",
            "one scale": "pix2pixhd-one-scale",
            "no feature matching": "pix2pixhd-no-matching",
        },
        measures=("accuracy", "iou", "steepness", "energy", "l1"),
        checks=(
            *_each_over("iou", ("pix2pixHD",), ("no feature matching", "one scale")),
            *_each_over("steepness", ("pix2pixHD",), ("no feature matching", "one scale")),
        ),
    ),
    "f": Experiment(
        claim="SRGAN loses PSNR and gains sharpness over SRResNet",
        source="SRGAN, section 3.4, table 2: 32.05 → 29.40 dB on Set5, 28.49 → 26.02 dB on Set14, "
        "and a higher mean opinion score",
        task="photos",
        rows={"where both start": "srresnet", "SRResNet": "srresnet-longer", "SRGAN": "srgan"},
        measures=("psnr", "energy", "steepness"),
        checks=(Larger("psnr", "SRResNet", "SRGAN"), Larger("energy", "SRGAN", "SRResNet")),
        note="Both go on from the same SRResNet, for as many steps and at the same rates",
    ),
    "g": Experiment(
        claim="CycleGAN's cycle loss falls, and it beats GANs alone",
        source="CycleGAN, section 5.1.4, table 4 (labels → photo): pixel accuracy .52, class IoU .11; "
        "GAN alone .51, .08",
        task="domains",
        rows={"CycleGAN": "cyclegan", "GANs alone": "two-gans"},
        measures=("cycle", "accuracy", "iou", "l1", "steepness"),
        checks=(
            Larger("cycle", "GANs alone", "CycleGAN"),
            Larger("accuracy", "CycleGAN", "GANs alone"),
            Larger("iou", "CycleGAN", "GANs alone"),
        ),
        falls=(Falls("cyclegan", ("cycle_a", "cycle_b")),),
    ),
    "h": Experiment(
        claim="SPADE keeps labels better than pix2pixHD",
        source="SPADE, section 4, table 1: mIoU 58.3 → 62.3 on Cityscapes, 20.3 → 38.5 on ADE20K, "
        "14.6 → 37.4 on COCO",
        task="relief",
        rows={"pix2pixHD": "pix2pixhd", "SPADE": "spade"},
        measures=("accuracy", "iou", "steepness", "energy", "l1"),
        checks=(Larger("iou", "SPADE", "pix2pixHD"), Larger("accuracy", "SPADE", "pix2pixHD")),
        note="As many steps each; one of this SPADE takes more than twice as long as one of pix2pixHD",
    ),
}
