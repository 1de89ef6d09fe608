"""Help pages in plain text: an example first, then what the command does, then its options by panel.

rich's help pages take longer to import than p2p may take to start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

if TYPE_CHECKING:
    from typer._click.core import Parameter
    from typer._click.formatting import HelpFormatter

Rows = list[tuple[str, str]]

_PLAIN_TYPES = {"<list[Path]>": "<path>", "<int range>": "<int>"}
"""How typer names a type → how a help page does."""


def help_page(example: str, text: str) -> str:
    """A help page that opens with `example`; in `text`, an empty line begins a paragraph."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
    # A lone \b keeps the example on a line of its own, however long it is.
    return "\n\n".join([f"\b\n{example}", *paragraphs])


def _write_page(command: TyperCommand | TyperGroup, context: typer.Context, formatter: HelpFormatter) -> None:
    command.format_help_text(context, formatter)
    formatter.write_paragraph()
    command.format_usage(context, formatter)
    command.format_options(context, formatter)


def _write_panels(context: typer.Context, formatter: HelpFormatter) -> None:
    """Arguments, then the options under the headings of their panels, in the order of the signature."""
    panels: dict[str, Rows] = {"Arguments": [], "Options": []}
    for param in context.command.get_params(context):
        record = param.get_help_record(context)
        if record is not None:
            usual = "Arguments" if isinstance(param, TyperArgument) else "Options"
            panel = panels.setdefault(getattr(param, "rich_help_panel", None) or usual, [])
            panel.append((_with_plain_types(record[0]), record[1]))
    _write_sections(formatter, [(heading, rows) for heading, rows in panels.items() if rows])


def _with_plain_types(names: str) -> str:
    for typers, plain in _PLAIN_TYPES.items():
        names = names.replace(typers, plain)
    return names


def _write_sections(formatter: HelpFormatter, sections: Iterable[tuple[str, Rows]]) -> None:
    for heading, rows in sections:
        with formatter.section(heading):
            formatter.write_dl(rows)


class Page(TyperCommand):
    """A command whose help lists its options by panel."""

    def format_help(self, ctx: typer.Context, formatter: HelpFormatter) -> None:  # type: ignore[override]
        """The whole page."""
        _write_page(self, ctx, formatter)

    def format_options(self, ctx: typer.Context, formatter: HelpFormatter) -> None:  # type: ignore[override]
        """Arguments and options."""
        _write_panels(ctx, formatter)


class Pages(TyperGroup):
    """A group of commands whose help lists its options by panel, and each command in a line."""

    def format_help(self, ctx: typer.Context, formatter: HelpFormatter) -> None:  # type: ignore[override]
        """The whole page."""
        _write_page(self, ctx, formatter)

    def format_options(self, ctx: typer.Context, formatter: HelpFormatter) -> None:  # type: ignore[override]
        """Options, then commands."""
        _write_panels(ctx, formatter)
        _write_sections(formatter, [("Commands", self.summaries(ctx))])

    def get_params(self, ctx: typer.Context) -> list[Parameter]:  # type: ignore[override]
        """The group's own options."""
        params = super().get_params(ctx)
        for param in params:
            # --help and its like are None until given, for which typer would import pydantic at every start.
            if isinstance(param, TyperOption) and param.is_flag and param.default is None:
                param.default = False
        return params

    def summaries(self, ctx: typer.Context) -> Rows:
        """Name and short help of each command."""
        return [(name, self.commands[name].short_help or "") for name in self.list_commands(ctx)]
