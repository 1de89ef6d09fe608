"""`p2p recipes`: the settings that come with p2p."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from p2pcli.cli import completion, options
from p2pcli.cli.help import Page, Pages, help_page

app = typer.Typer(cls=Pages, rich_markup_mode=None, add_completion=False, invoke_without_command=True)

LIST_HELP = help_page("p2p recipes", "The recipes that come with p2p: name and title, one a line.")

SHOW_HELP = help_page(
    "p2p recipes show pix2pix > mine.toml",
    "Print a recipe's TOML file; edit a copy and train with it: p2p train -r mine.toml",
)


@app.callback(help=LIST_HELP)
def _default(context: typer.Context, as_json: options.Json = False, debug: options.Debug = False) -> None:
    if context.invoked_subcommand is None:
        _print_list(as_json=as_json)


@app.command("list", cls=Page, help=LIST_HELP, short_help="Name and title, one a line.")
def list_recipes(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """Print every shipped recipe."""
    _print_list(as_json=as_json)


def _print_list(*, as_json: bool) -> None:
    import tomllib

    from p2pcli.recipe import shipped_recipes

    titles = {
        name: str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))
        for name, path in shipped_recipes().items()
    }
    if as_json:
        sys.stdout.write(json.dumps(titles, ensure_ascii=False) + "\n")
        return
    width = max(map(len, titles), default=0)
    for name, title in titles.items():
        sys.stdout.write(f"{name:<{width}}  {title}\n")


@app.command("show", cls=Page, help=SHOW_HELP, short_help="Print one recipe's TOML.")
def show(
    name: Annotated[
        str, typer.Argument(help="A name that p2p recipes lists.", autocompletion=completion.recipes)
    ],
    debug: options.Debug = False,
) -> None:
    """Print one recipe as it is stored, comments and all."""
    from p2pcli.errors import RecipeError, did_you_mean
    from p2pcli.recipe import shipped_recipes

    shipped = shipped_recipes()
    if name not in shipped:
        raise RecipeError(f"no shipped recipe '{name}'. {did_you_mean(name, shipped)}")
    sys.stdout.write(shipped[name].read_text(encoding="utf-8"))
