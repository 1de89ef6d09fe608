"""The style sheet of report.html; it follows the reader's light or dark setting."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --soft: #6b7280; --line: #e5e7eb;
  --page: #f8fafc; --card: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e7eb; --soft: #9ca3af; --line: #374151; --page: #111827; --card: #1f2937 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 1060px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 26px; margin: 0 }
h2 { font-size: 18px; margin: 34px 0 10px }
.soft { color: var(--soft) }
figure, .card, pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 16px }
.charts.three { grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)) }
figure { margin: 0; padding: 14px }
figcaption { font-weight: 600; margin-bottom: 6px }
svg { width: 100%; height: auto; display: block }
svg text { font-size: 11px; fill: var(--soft) }
.three svg text { font-size: 14px }
.grid { stroke: var(--line) }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px;
  color: var(--soft); margin-top: 6px }
.legend i { display: inline-block; width: 18px; margin-right: 6px; vertical-align: middle }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 20px 0 }
.card { padding: 12px 14px }
.card b { display: block; font-size: 20px; font-variant-numeric: tabular-nums }
.card span { color: var(--soft); font-size: 13px }
.samples { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px }
.samples img { max-width: 100%; display: block; margin: auto; border-radius: 6px }
.samples .newest { grid-column: 1 / -1; width: fit-content; max-width: 100% }
table { border-collapse: collapse; font-size: 14px }
td, th { text-align: left; padding: 4px 18px 4px 0; vertical-align: top;
  border-bottom: 1px solid var(--line) }
th { font-weight: 500; color: var(--soft) }
.warn { border-left: 4px solid #d97706; padding: 8px 14px; background: var(--card); margin: 8px 0 }
pre { padding: 14px; overflow: auto; font-size: 13px }
"""
