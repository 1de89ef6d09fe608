"""report.html of a run: one self-contained page with numbers, curves, samples, recipe, environment."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.image import as_rgb8
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import read_image
from p2pcli.io.places import real
from p2pcli.training.curves import Curve, draw_chart
from p2pcli.training.report_style import STYLE
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import FORMULAS_ROW, read_log
from p2pcli.untrusted import Kinds, read_text, require_kinds
from p2pcli.visible import visible_lines

_GRIDS = 6
_COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
_CHARTS = {
    "Generator: adversarial": ("gan",),
    "Discriminator": ("real", "fake"),
    "Discriminator: penalties": ("r1", "gradient_penalty"),
    "Cycle": ("cycle",),
    "Identity": ("identity",),
}
"""Chart → the loss terms that it shows; every other term of the generator has a chart of its own."""
_METRIC_NAMES = {
    "l1": "L1 (lower is better)",
    "psnr": "PSNR in dB",
    "ssim": "SSIM",
    "cycle": "L1 of there and back again (lower is better)",
}


_ROWS: dict[str, Kinds] = {
    "step": {"epoch": int, "losses": dict, "learning_rate": (int, float), "images_per_second": (int, float)},
    "health": {"text": str},
    "validation": {"baseline": dict},
}
"""Kind of row → what the page shows of it."""


def write_report(folder: RunFolder) -> None:
    """Draw the page from what lies in the run folder, whole or not at all; one that shows it all stays."""
    page = render_report(folder).encode()
    if not folder.report.is_file() or folder.report.read_bytes() != page:
        write_bytes(folder.report, page)


def render_report(folder: RunFolder) -> str:
    """The page as HTML text."""
    rows = [row for row in read_log(folder.log) if _can_be_shown(row)]
    about = folder.read_about()
    steps = [row for row in rows if row["kind"] == "step"]
    validations = _comparable(rows)
    recipe = read_text(folder.recipe, errors="replace") if folder.recipe.is_file() else ""
    title = escape(real(folder.path).name)
    sections = [
        f"<h1>{title}</h1><div class='soft'>{escape(str(about.get('headline', '')))}</div>",
        _cards(steps, validations, about),
        _health(rows),
        _section("Losses", _loss_charts(steps)),
        _section("Validation", _metric_charts(validations) + _older_formulas(rows)),
        _section("Samples", _sample_grids(sorted(folder.samples.glob("step-*.png")))),
        _section("Run", _table(_flat(about))),
        _section("Recipe", f"<pre>{escape(recipe)}</pre>"),
    ]
    return visible_lines(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>"
        f"{''.join(sections)}</main></body></html>\n"
    )


def _comparable(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The validations; those that were measured with older formulas without their SSIM."""
    changes = [index for index, row in enumerate(rows) if row["kind"] == FORMULAS_ROW]
    since = changes[-1] if changes else 0
    return [
        row
        if index >= since
        else {**_without_ssim(row), "baseline": _without_ssim(row.get("baseline") or {})}
        for index, row in enumerate(rows)
        if row["kind"] == "validation"
    ]


def _without_ssim(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "ssim"}


def _older_formulas(rows: Iterable[Mapping[str, Any]]) -> str:
    steps = [row["step"] for row in rows if row["kind"] == FORMULAS_ROW]
    if not steps:
        return ""
    return (
        f"<div class='soft'>SSIM up to step {steps[-1]} was taken with another formula and is left out.</div>"
    )


def _can_be_shown(row: Mapping[str, Any]) -> bool:
    """False for a row that lacks what the page draws: another tool, or another hand, wrote it."""
    try:
        require_kinds(row, {"step": int}, needed=True)
        require_kinds(row, _ROWS.get(str(row["kind"]), {}), needed=True)
        for numbers in (row.get("losses", {}), row.get("baseline", {})):
            require_kinds(numbers, dict.fromkeys(numbers, (int, float)))
        require_kinds(row, dict.fromkeys(_METRIC_NAMES, (int, float)))
    except ValueError:
        return False
    return True


def _section(title: str, body: str) -> str:
    return f"<h2>{title}</h2>{body}" if body else ""


def _cards(
    steps: Sequence[Mapping[str, Any]], validations: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> str:
    cards = []
    if steps:
        last = steps[-1]
        planned = about.get("steps", last["step"])
        cards.append((f"{last['step']:,} / {planned:,}", f"steps, epoch {last['epoch'] + 1}"))
        cards.append((f"{last['images_per_second']:.1f}", "images per second"))
    if validations:
        last, baseline = validations[-1], validations[-1].get("baseline") or {}
        for name, unit in (("ssim", ""), ("psnr", " dB"), ("l1", ""), ("cycle", "")):
            if name not in last:
                continue
            digits = 1 if name == "psnr" else 3
            label = name.upper()
            if name in baseline:
                label += f"; untranslated input {baseline[name]:.{digits}f}"
            cards.append((f"{last[name]:.{digits}f}{unit}", label))
    return "".join(
        [
            "<div class='cards'>",
            *(f"<div class='card'><b>{escape(a)}</b><span>{escape(b)}</span></div>" for a, b in cards),
            "</div>",
        ]
    )


def _health(rows: Iterable[Mapping[str, Any]]) -> str:
    notes = [row for row in rows if row["kind"] == "health"]
    warnings = (f"<div class='warn'>Step {row['step']}: {escape(str(row['text']))}</div>" for row in notes)
    lines = [str(row["health"]) for row in rows if "health" in row]
    now = f"<div>Health: {escape(lines[-1])}</div>" if lines else ""
    return now + "".join(warnings)


def _loss_charts(steps: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in steps for name in row["losses"]))
    # The two directions of an unpaired run share a chart: gan_a and gan_b are both "gan".
    stems = {name: name.removesuffix("_a").removesuffix("_b") for name in names}
    shared = {stem for terms in _CHARTS.values() for stem in terms}
    own = {f"Generator: {stem} (weighted)": (stem,) for stem in stems.values() if stem not in shared}
    charts = []
    for title, terms in {**own, **_CHARTS}.items():
        shown = [name for name in names if stems[name] in terms]
        curves = [
            Curve(name, colour, [(r["step"], r["losses"][name]) for r in steps if name in r["losses"]])
            for name, colour in zip(shown, _COLOURS, strict=False)
        ]
        charts.append(draw_chart(title, curves))
    rates = Curve("learning rate", "#7c3aed", [(r["step"], r["learning_rate"]) for r in steps])
    charts.append(draw_chart("Learning rate", [rates]))
    return f"<div class='charts'>{''.join(charts)}</div>" if any(charts) else ""


def _metric_charts(validations: Sequence[Mapping[str, Any]]) -> str:
    charts = []
    for name, title in _METRIC_NAMES.items():
        ours = Curve(
            "translated", "#2563eb", [(row["step"], row[name]) for row in validations if name in row]
        )
        plain = [
            (row["step"], row["baseline"][name]) for row in validations if name in row.get("baseline", {})
        ]
        charts.append(
            draw_chart(title, [ours, Curve("untranslated input", "#9ca3af", plain, is_dashed=True)])
        )
    return f"<div class='charts three'>{''.join(charts)}</div>" if validations else ""


def _sample_grids(paths: Sequence[Path]) -> str:
    """The newest grid large, and a few earlier ones, embedded."""
    if not paths:
        return ""
    *earlier, newest = paths
    chosen = [earlier[index * len(earlier) // (_GRIDS - 1)] for index in range(min(_GRIDS - 1, len(earlier)))]
    figures = [f"<figure class='newest'>{_embedded(newest)}</figure>"]
    figures += [f"<figure>{_embedded(path)}</figure>" for path in reversed(chosen)]
    return f"<div class='samples'>{''.join(figures)}</div>"


def _embedded(path: Path) -> str:
    packed = io.BytesIO()
    try:
        PillowImage.fromarray(as_rgb8(read_image(path).image)).save(packed, "JPEG", quality=88)
    except ItemError as error:
        return f"<figcaption>{escape(str(error))}</figcaption>"
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    return f'<img alt="input, output, target: {escape(path.stem)}" src="data:image/jpeg;base64,{data}">'


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if name in ("plan", "headline"):
            continue
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name} · ")
        else:
            rows.append((f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)))
    return rows


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"
