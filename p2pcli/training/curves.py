"""Line charts as inline SVG: no scripts, no fonts, no files beside the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 30
_POINTS = 400


@dataclass(frozen=True)
class Curve:
    """One line: its name, CSS colour, points (x, y) in order of x, and whether it is dashed."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    is_dashed: bool = False


def draw_chart(title: str, curves: Sequence[Curve], *, x_label: str = "step") -> str:
    """A figure with the curves, axes with round numbers, and a legend. Curves without points are left out."""
    drawn = [curve for curve in curves if curve.points]
    if not drawn:
        return ""
    xs = [x for curve in drawn for x, _ in curve.points]
    ys = [y for curve in drawn for _, y in curve.points if math.isfinite(y)]
    x_low, x_high = 0.0, max(*xs, 1.0)
    y_low, y_high = _padded(min(ys), max(ys)) if ys else (0.0, 1.0)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        up = (y - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)
        return _LEFT + across, _HEIGHT - _BOTTOM - up

    parts = [_grid_line(place(x_low, y)[1], number_text(y)) for y in round_ticks(y_low, y_high)]
    parts += [_x_tick(place(x, y_low)[0], number_text(x)) for x in round_ticks(x_low, x_high)]
    parts += [
        _line(curve, [place(x, y) for x, y in thin(curve.points) if math.isfinite(y)]) for curve in drawn
    ]
    legend = "".join(
        f'<span><i style="border-top:3px {"dashed" if curve.is_dashed else "solid"} {curve.colour}"></i>'
        f"{escape(curve.name)} <b>{number_text(curve.points[-1][1])}</b></span>"
        for curve in drawn
    )
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 2}" '
        f'text-anchor="end">{escape(x_label)}</text></svg><div class="legend">{legend}</div></figure>'
    )


def round_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten) within [low, high]."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(step * index, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def thin(points: Sequence[tuple[float, float]], *, count: int = _POINTS) -> list[tuple[float, float]]:
    """Neighbouring points averaged so that about `count` stay; few points stay as they are."""
    if len(points) <= count:
        return list(points)
    size = -(-len(points) // count)
    groups = [points[first : first + size] for first in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def number_text(value: float) -> str:
    """A number short enough for an axis: 12k, 0.25, 18.3."""
    if abs(value) >= 1000:
        return f"{value / 1000:.4g}k"
    return f"{value:.3g}"


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    # An axis that would begin a little above or below zero begins at zero.
    bottom = 0.0 if 0 <= low <= 0.3 * high else low - margin
    return bottom, high + margin


def _grid_line(y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _x_tick(x: float, label: str) -> str:
    return f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{label}</text>'


def _line(curve: Curve, places: Sequence[tuple[float, float]]) -> str:
    dash = ' stroke-dasharray="5 4"' if curve.is_dashed else ""
    if len(places) == 1:
        x, y = places[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{curve.colour}"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline fill="none" stroke="{curve.colour}" stroke-width="1.6"{dash} points="{path}"/>'
