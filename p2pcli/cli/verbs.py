"""The verbs of p2p, in the order in which they are used. A verb's module is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from p2pcli.cli.help import Pages

if TYPE_CHECKING:
    from typer._click.core import Command


def _quickstart() -> typer.Typer:
    from p2pcli.cli.quickstart import app

    return app


def _make_pairs() -> typer.Typer:
    from p2pcli.cli.make_pairs import app

    return app


def _train() -> typer.Typer:
    from p2pcli.cli.train import app

    return app


def _translate() -> typer.Typer:
    from p2pcli.cli.translate import app

    return app


def _import() -> typer.Typer:
    from p2pcli.cli.import_ import app

    return app


def _export() -> typer.Typer:
    from p2pcli.cli.export import app

    return app


def _cluster() -> typer.Typer:
    from p2pcli.cli.cluster import app

    return app


def _recipes() -> typer.Typer:
    from p2pcli.cli.recipes import app

    return app


class Verb(NamedTuple):
    """What `p2p --help` knows of a verb without importing it."""

    load: Callable[[], typer.Typer]
    short_help: str


VERBS = {
    "quickstart": Verb(
        _quickstart, "All three verbs on photos and a clip that come with p2p, in under three minutes."
    ),
    "make-pairs": Verb(
        _make_pairs, "Make a paired dataset from photos and films: edges, gray, downsample, mask, restore."
    ),
    "train": Verb(_train, "Train a translator on pairs, or on plain photos with pairs made on the fly."),
    "translate": Verb(_translate, "Run a trained model over photos, folders and films."),
    "import": Verb(_import, "Turn published weights (.pth) into p2p models."),
    "export": Verb(_export, "Write a model for the published code to load."),
    "cluster": Verb(_cluster, "Store in a pix2pixHD model the looks that p2p translate --look chooses from."),
    "recipes": Verb(_recipes, "The recipes that come with p2p: list them, show one."),
}


def command_of(verb: str) -> TyperCommand | TyperGroup:
    """The command of a verb; imports the verb's module."""
    command = get_command(VERBS[verb].load())
    assert isinstance(command, (TyperCommand, TyperGroup))
    return command


class Verbs(Pages):
    """The group of all verbs, each loaded when it is asked for."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """The verbs in the order of use."""
        return list(VERBS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Command | None:  # type: ignore[override]
        """The verb's command; None where there is no such verb."""
        if cmd_name not in VERBS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = command_of(cmd_name)
        return self.commands[cmd_name]

    def summaries(self, ctx: typer.Context) -> list[tuple[str, str]]:
        """Name and short help of each verb."""
        return [(name, verb.short_help) for name, verb in VERBS.items()]
