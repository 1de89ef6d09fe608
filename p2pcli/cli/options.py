"""The options that verbs share: one name, one meaning, everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p2pcli.cli import completion
from p2pcli.plan import MAX_SEED

RUN_PANEL = "How it runs"
REPORT_PANEL = "What it prints"


Sources = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Photos, folders (searched to the bottom), globs, list files (.txt) and films. "
        "Nothing: the current folder.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where the result goes.", show_default=False)
]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        help="A model file or a run folder. Nothing: the newest run under runs/.",
        show_default=False,
        autocompletion=completion.runs,
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        help="A shipped recipe (p2p recipes) or a TOML file. Nothing: pix2pix, or the run's own.",
        show_default=False,
        autocompletion=completion.recipes,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one key of the recipe: --set train.epochs=20. May repeat.",
        show_default=False,
    ),
]
InputSide = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="FOLDER",
        help="Of two folders with the same names: which holds the inputs (A). Or '*.png', of two files.",
        show_default=False,
    ),
]
TargetSide = Annotated[
    str | None,
    typer.Option("--target", metavar="FOLDER", help="Which holds the targets (B).", show_default=False),
]
GROUPS = (
    "What stays together in the split: one folder, names that are the same up to their last number, or none. "
    "auto: folders of numbered frames, and runs of near-equal neighbours."
)
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        min=1,
        help="Processes or threads that read and write. Nothing: what suits this machine.",
        show_default=False,
        rich_help_panel=RUN_PANEL,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", help="auto, cpu, cuda, cuda:N or mps. auto: the best there is.", rich_help_panel=RUN_PANEL
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        max=MAX_SEED,
        help="Everything drawn at random follows from it.",
        rich_help_panel=RUN_PANEL,
    ),
]
OptionalSeed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=MAX_SEED,
        help="Everything drawn at random follows from it. Nothing: the recipe's.",
        show_default=False,
        rich_help_panel=RUN_PANEL,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="Take only the first N items.", show_default=False, rich_help_panel=RUN_PANEL
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(
        "--max-pixels", min=1, help="Refuse larger images before decoding them.", rich_help_panel=RUN_PANEL
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace what the output holds already.", rich_help_panel=RUN_PANEL),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint.", rich_help_panel=RUN_PANEL)
]
Init = Annotated[
    list[Path] | None,
    typer.Option(
        "--init",
        help="Fine-tune: start from a model file or run folder (with its discriminator). Nothing said by -r: "
        "with its recipe. May repeat.",
        show_default=False,
        autocompletion=completion.runs,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done, write nothing.", rich_help_panel=RUN_PANEL),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout at the end.", rich_help_panel=REPORT_PANEL),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.", rich_help_panel=REPORT_PANEL)
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Details as well.", rich_help_panel=REPORT_PANEL)
]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks for errors.", rich_help_panel=REPORT_PANEL)]
