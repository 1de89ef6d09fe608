"""Doors to files: decoding, encoding, listing, datasets and video.

`open_source` decides by what a path is; a new kind of source is one file and one line in `SOURCES`.
"""

from __future__ import annotations

import functools
import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from p2pcli.errors import NothingMatchedError, UsageError, did_you_mean
from p2pcli.io.base import MAX_PIXELS, Listing, Source
from p2pcli.io.pair_sides import Asked

__all__ = ["FOLDERS", "SOURCES", "open_source"]

FOLDERS = ("pairs", "folders")
"""Two names of one layout: the source's own, and the one that recipes use."""


@dataclass
class _Place:
    """A path and what is asked of it; listed at most once."""

    path: str | Path
    max_pixels: int
    asked: Asked
    id_maps: tuple[str, ...]
    photos_do: bool
    is_asked_for: bool
    """True where the caller names the layout: then it is not looked for, but required."""

    @functools.cached_property
    def images(self) -> Listing:
        from p2pcli.io.listing import list_media

        return list_media(self.path, kinds=("image",))


def open_source(
    path: str | Path,
    *,
    layout: str | None = None,
    max_pixels: int = MAX_PIXELS,
    extras: Sequence[str] = (),
    scale: int = 1,
    input_side: str | None = None,
    target_side: str | None = None,
    classes: Sequence[str] = (),
    id_maps: Sequence[str] = (),
    photos_do: bool = False,
) -> Source:
    """The samples that lie at `path`: a Parquet dataset, paired folders, side-by-side images or plain photos.

    What the path is decides, in the order of `SOURCES`; `layout`, a name from there, decides instead.
    `extras` names folders beside those of a pair, or columns beside them, whose pictures come with each
    sample; `scale` is how many times one picture of a pair may be larger than the other. `input_side` and
    `target_side` name the two folders of pairs (or patterns of file names, "*.png"); `classes` names folders
    that are no sides. `id_maps` names pictures ("input", "target", an extra) whose pixels are ids, to be read
    as they are stored. `photos_do` says that single photos are enough, as for a maker of pairs: they stay
    whole whatever their shape, and two folders count as pairs only where they hold the same names.
    Raises `UsageError` where the path does not exist, does not have the layout asked for, or holds two
    folders of the same names that do not tell which is which, and `NothingMatchedError` where it holds no
    image.
    """
    if layout in FOLDERS or (layout is None and (input_side or target_side)):
        layout = "pairs"
    if layout is not None and layout not in SOURCES:
        raise UsageError(f"unknown layout '{layout}'. {did_you_mean(layout, SOURCES)}")
    is_asked_for = layout is not None
    asked = Asked(
        input_side,
        target_side,
        scale,
        extras=tuple(extras),
        classes=tuple(classes),
        must_match=photos_do and not is_asked_for,
    )
    place = _Place(path, max_pixels, asked, tuple(id_maps), photos_do, is_asked_for)
    if not Path(path).exists() and not glob.has_magic(str(path)):
        _ = place.images  # raises, and names what is nearest
    layouts = list(SOURCES) if layout is None else [layout]
    for name in layouts:
        source = SOURCES[name](place)
        if source is not None:
            return source
    _refuse(path, layouts)


def _open_parquet(place: _Place) -> Source | None:
    from p2pcli.io.parquet import ParquetSource, is_parquet_dataset

    path = Path(place.path)
    if not place.is_asked_for and not is_parquet_dataset(path):
        return None
    return ParquetSource(path, extras=place.asked.extras, scale=place.asked.scale, id_maps=place.id_maps)


def _open_pairs(place: _Place) -> Source | None:
    from p2pcli.io.pairs_folder import PairsFolderSource, find_pair_folders

    path = Path(place.path)
    listing = None if path.is_dir() else place.images
    if not place.is_asked_for and not find_pair_folders(path, place.asked, listing=listing):
        return None
    return PairsFolderSource(
        path,
        max_pixels=place.max_pixels,
        asked=place.asked,
        id_maps=place.id_maps,
        any_sizes=place.photos_do,
        listing=listing,
    )


def _open_side_by_side(place: _Place) -> Source | None:
    from p2pcli.io.sidebyside import SideBySideSource, is_side_by_side

    entries = place.images.entries
    is_meant = place.is_asked_for or (not place.photos_do and is_side_by_side(entries))
    if not entries or not is_meant:
        return None
    return SideBySideSource(place.path, max_pixels=place.max_pixels, listing=place.images)


def _open_photos(place: _Place) -> Source | None:
    from p2pcli.io.folder import FolderSource

    if not place.images.entries:
        return None
    return FolderSource(place.path, max_pixels=place.max_pixels, listing=place.images)


def _refuse(path: str | Path, layouts: list[str]) -> NoReturn:
    from p2pcli.io.pair_names import LAYOUTS

    sought = "; ".join(_DESCRIPTIONS[layout] for layout in layouts)
    raise NothingMatchedError(
        f"{path}: nothing to read. Looked for: {sought}. Layouts of pairs: {'; '.join(LAYOUTS)}."
    )


SOURCES: dict[str, Callable[[_Place], Source | None]] = {
    "parquet": _open_parquet,
    "pairs": _open_pairs,
    "side-by-side": _open_side_by_side,
    "photos": _open_photos,
}
"""Layout → what opens it, or gives None where the path is something else. Asked in this order."""

_DESCRIPTIONS = {
    "parquet": "a Parquet dataset (data/*.parquet)",
    "pairs": "two folders of images with equal names",
    "side-by-side": "images twice as wide as high, A on the left and B on the right",
    "photos": "images (JPEG, PNG, WebP, TIFF and the like)",
}
