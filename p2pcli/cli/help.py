"""Help pages: an example first, then what the command does."""

from __future__ import annotations

import typer
from typer.core import TyperGroup

VERBS = ("quickstart", "make-pairs", "train", "translate", "import", "export", "recipes")


class InOrder(TyperGroup):
    """Lists the verbs in the order in which they are used."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """The known verbs first, then whatever else there is."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: VERBS.index(name) if name in VERBS else len(VERBS))


def help_page(example: str, text: str) -> str:
    """A help page that opens with `example`; in `text`, an empty line begins a paragraph."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
    return "\n\n".join([f"[bold]{example}[/bold]", *paragraphs])
