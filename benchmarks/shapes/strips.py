"""Picture strips: a row for each held-out picture; input, target and what each run makes of it."""

from __future__ import annotations

import cv2
import numpy as np

from p2pcli.image import Image, as_rgb8, resize
from shapes.data import coloured
from shapes.experiments import BICUBIC, REAL
from shapes.measures import Results

_GAP_PX = 4
_HEAD_PX = 18


def strip(rows: dict[str, Results]) -> Image:
    """The pictures of `rows` under their names, input and real picture first."""
    real = rows[REAL]
    columns = {"input": [_shown_input(picture) for picture in real.held_out.inputs], REAL: real.pictures}
    for title, results in rows.items():
        if title == REAL:
            continue
        columns[title] = results.pictures
        if results.returned:
            columns[f"{title}, and back"] = results.returned
    if BICUBIC in columns:
        # The enlarged input says what the input is.
        del columns["input"]
    return np.concatenate([_column(title, pictures) for title, pictures in columns.items()], axis=1)


def _shown_input(picture: Image) -> Image:
    return coloured(picture) if picture.ndim == 2 else as_rgb8(picture)


def _column(title: str, pictures: tuple[Image, ...] | list[Image]) -> Image:
    height, width = pictures[0].shape[:2]
    head = np.full((_HEAD_PX, width + _GAP_PX, 3), 255, np.uint8)
    scale = min(0.4, 0.4 * width / max(1, cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0]))
    cv2.putText(head, title, (0, _HEAD_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)
    cells = [head]
    for picture in pictures:
        cell = np.full((height + _GAP_PX, width + _GAP_PX, 3), 255, np.uint8)
        cell[:height, :width] = resize(as_rgb8(picture), width, height)
        cells.append(cell)
    return np.concatenate(cells)
