"""What lies around a source and tells more of it: pictures in folders beside it, and its class."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from p2pcli.image import Image
from p2pcli.inference.looks import PHOTO, PHOTO_FOLDERS, Looks
from p2pcli.io.base import Entry
from p2pcli.io.codec import MAX_PIXELS, read_image
from p2pcli.recipe import Data


def pictures_beside(path: Path, names: Sequence[str], *, max_pixels: int = MAX_PIXELS) -> dict[str, Image]:
    """The further pictures of `path`, from sibling folders: label/1.png → inst/1.png, a_label → a_inst.

    Those of a film are stills, mask/film.png. Raises `ItemError` where one is damaged.
    """
    found = {}
    for name in names:
        start, dash, _ = path.parent.name.rpartition("_")
        for folder in (path.parent.with_name(name), path.parent.with_name(f"{start}{dash}{name}")):
            files = sorted(folder.glob(f"{glob.escape(path.stem)}.*"))
            if files:
                found[name] = read_image(files[0], max_pixels=max_pixels, ids=name == "inst").image
                break
    return found


def extras_beside(
    path: Path, data: Data, looks: Looks | None, *, max_pixels: int = MAX_PIXELS
) -> dict[str, Image]:
    """All further pictures of `path` that a model asks for, and the photo whose look it takes, if it does."""
    found = pictures_beside(path, data.folders, max_pixels=max_pixels)
    if looks is not None and looks.needs_photo and looks.photo is None:
        photos = pictures_beside(path, PHOTO_FOLDERS, max_pixels=max_pixels)
        found |= dict(zip((PHOTO,), photos.values(), strict=False))
    return found


def key_with_class(entry: Entry, classes: Sequence[str]) -> str:
    """The key of `entry`, with the class in front that only its own path tells: shoes/1 of a source shoes/.

    The folder nearest to the file counts. Without classes, and where the key names one, it stays as it is.
    """
    if not classes or set(classes) & set(entry.key.split("/")[:-1]):
        return entry.key
    nearest = next((folder.name for folder in entry.path.absolute().parents if folder.name in classes), None)
    return entry.key if nearest is None else f"{nearest}/{entry.key}"
