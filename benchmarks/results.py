"""The shapes of result that the papers report, on real data at the size of a CPU, as docs/results.md.

    python benchmarks/results.py --data DATA [--only a,d] [--budget 0.01]

DATA (or P2P_TEST_DATA) holds pairs/earth, photos and kodak24. All of it takes about an hour on two cores;
runs that are finished are kept in --output and not repeated. With other steps than the page's own, or only
some of the claims, the page goes to --output unless --page says otherwise.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from shapes.experiments import EXPERIMENTS
from shapes.page import write_page
from shapes.trial import Workshop

_DOCS_PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"


def letters(text: str) -> list[str]:
    """ "a,d" as ["a", "d"]. Raises `ArgumentTypeError` for a letter that no claim has."""
    chosen = [part.strip() for part in text.split(",")]
    unknown = [letter for letter in chosen if letter not in EXPERIMENTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no claim '{unknown[0]}'. There are: {', '.join(EXPERIMENTS)}")
    return chosen


def main(arguments: Sequence[str] | None = None) -> Path:
    """Carry out what `arguments` ask for. Gives the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("P2P_TEST_DATA"))
    parser.add_argument("--output", type=Path, default=Path("runs/results"))
    parser.add_argument("--only", type=letters, default=list(EXPERIMENTS))
    parser.add_argument("--budget", type=float, default=1.0, help="times the steps of each run")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args(arguments)
    if options.data is None:
        parser.error("name the folder of real data: --data FOLDER, or P2P_TEST_DATA")
    is_whole = options.only == list(EXPERIMENTS) and options.budget == 1
    page = options.page or (_DOCS_PAGE if is_whole else options.output / "results.md")

    workshop = Workshop(options.data, options.output, options.budget)
    workshop.prepare()
    outcomes = {}
    for letter in options.only:
        outcomes[letter] = workshop.carry_out(EXPERIMENTS[letter])
        print(f"({letter}) {EXPERIMENTS[letter].claim}: {outcomes[letter].verdict}", flush=True)
    write_page(page, outcomes, workshop.finished, budget=options.budget)
    print(page)
    return page


if __name__ == "__main__":
    main()
