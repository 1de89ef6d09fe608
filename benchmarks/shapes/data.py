"""What the experiments train on and are measured on, cut from DATA into a folder of its own.

Earth: a map of heights (relief), a satellite's view of the same place, labels read from the map's colours.
Photos: plain ones to train on; Kodak's to measure super-resolution on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from p2pcli.errors import NothingMatchedError
from p2pcli.image import Image, as_gray8, as_rgb8, resize
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import encode, read_image

SIDE_PX = 128
LABELS = {
    "deep sea": (21, 114, 216),
    "sea": (43, 157, 214),
    "shelf": (146, 209, 230),
    "ice": (221, 222, 222),
    "upland": (214, 191, 147),
    "hills": (165, 197, 138),
    "lowland": (80, 162, 77),
    "highland": (166, 134, 62),
}
"""Label → RGB. The centres of 8 clusters (k-means in Lab) of the relief map's colours."""

SHOWN_TILES = ("y0256_x4864_10", "y0768_x1024_11", "y0768_x3584_10", "y1024_x2304_01")
SHOWN_PHOTOS = (
    "BuddiesOfBudgie__canyon-wren",
    "BuddiesOfBudgie__dragonfly-on-lavender",
    "BuddiesOfBudgie__casa-mila",
)
"""CC0 photos that no run trains on, for docs/results.md: the other sets that are used are not all free."""

_MOST_OF_ONE_LABEL = 0.9
_BLUR_PX = 9
_SCALE = 4
_SHOWN_PX = 160
_PALETTE: NDArray[np.uint8] = np.array(list(LABELS.values()), np.uint8)


@dataclass(frozen=True)
class HeldOut:
    """Pictures that no run has seen: what networks get and what they should make."""

    keys: tuple[str, ...]
    inputs: tuple[Image, ...]
    targets: tuple[Image, ...]
    labels: tuple[Image, ...] = ()
    """Ids (H, W) of each picture; empty where there are none."""
    plain: tuple[Image, ...] = ()
    """What does without a network, such as bicubic enlargement."""

    def only(self, keys: tuple[str, ...]) -> HeldOut:
        """The pictures `keys`; the first few where none of those is there."""
        places = [self.keys.index(key) for key in keys if key in self.keys] or list(range(len(self.keys)))[:3]

        def chosen(values: tuple[Image, ...]) -> tuple[Image, ...]:
            return tuple(values[place] for place in places) if values else ()

        names = tuple(self.keys[place] for place in places)
        return HeldOut(names, *map(chosen, (self.inputs, self.targets, self.labels, self.plain)))


def labels_of(relief: Image) -> Image:
    """The ids (H, W) uint8 of a relief picture (H, W, 3): the nearest of `LABELS` in Lab, hills smoothed."""
    smooth = cv2.medianBlur(np.ascontiguousarray(relief), _BLUR_PX)
    apart = np.square(_lab(smooth)[:, :, None] - _lab(_PALETTE[None])[0]).sum(axis=3)
    return apart.argmin(axis=2).astype(np.uint8)


def nearest_labels(flat: Image) -> Image:
    """The ids (H, W) uint8 of a picture (H, W, 3) in flat label colours, as `coloured` makes it."""
    apart = np.square(_lab(flat)[:, :, None] - _lab(_PALETTE[None])[0]).sum(axis=3)
    return apart.argmin(axis=2).astype(np.uint8)


def coloured(ids: Image) -> Image:
    """Ids (H, W) in their labels' colours (H, W, 3)."""
    picture: Image = _PALETTE[ids]
    return picture


def prepare(data: Path, folder: Path) -> None:
    """Write the training sets to `folder`; what is there already stays. Raises `NothingMatchedError`."""
    done = folder / "done"
    if done.is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    for split in ("train", "val"):
        tiles = _files(data / "pairs" / "earth" / split)
        for tile in tiles:
            _write_squares(tile, folder, split)
    for photo in _files(data / "photos"):
        if photo.stem not in SHOWN_PHOTOS:
            (folder / "photos").mkdir(exist_ok=True, parents=True)
            shutil.copyfile(photo, folder / "photos" / photo.name)
    write_bytes(done, b"")


def earth(folder: Path, *, task: str) -> HeldOut:
    """The held-out squares of what `prepare` wrote.

    `task` "satellite" or "relief": labels → picture; "domains": relief → satellite.
    """
    keys = tuple(path.stem for path in _files(folder / "relief" / "val" / "img"))
    labels = _read(folder / "relief" / "val" / "label", keys, lambda image: image[:, :, 0])
    relief, satellite = (
        _read(folder / name / "val" / "img", keys, as_rgb8) for name in ("relief", "satellite")
    )
    inputs = relief if task == "domains" else labels
    return HeldOut(keys, inputs, relief if task == "relief" else satellite, labels)


def kodak(data: Path) -> HeldOut:
    """Kodak's photos and what is a quarter of their size."""
    files = _files(data / "kodak24")
    return _super_resolution({path.stem: as_rgb8(read_image(path).image) for path in files})


def shown_photos(data: Path) -> HeldOut:
    """Of the photos that docs/results.md may show, the square with the most to see."""
    photos = {}
    for path in _files(data / "photos"):
        if path.stem in SHOWN_PHOTOS:
            whole = as_rgb8(read_image(path).image)
            rows, columns = (range(0, side - _SHOWN_PX + 1, _SHOWN_PX) for side in whole.shape[:2])
            squares = [whole[y : y + _SHOWN_PX, x : x + _SHOWN_PX] for y in rows for x in columns]
            photos[path.stem] = max(squares, key=_detail)
    return _super_resolution(photos)


def _super_resolution(photos: dict[str, Image]) -> HeldOut:
    targets, inputs, plain = [], [], []
    for photo in photos.values():
        height, width = (side // _SCALE for side in photo.shape[:2])
        target = np.ascontiguousarray(photo[: height * _SCALE, : width * _SCALE])
        small = resize(target, width, height, kernel="bicubic")
        targets.append(target)
        inputs.append(small)
        plain.append(resize(small, width * _SCALE, height * _SCALE, kernel="bicubic"))
    return HeldOut(tuple(photos), tuple(inputs), tuple(targets), plain=tuple(plain))


def _detail(picture: Image) -> float:
    return float(cv2.Laplacian(as_gray8(picture)[:, :, 0], cv2.CV_32F).std())


def _write_squares(tile: Path, folder: Path, split: str) -> None:
    """Cut a tile (relief, shaded relief, satellite side by side) into squares, but for those of one label."""
    triple = as_rgb8(read_image(tile).image)
    width = triple.shape[1] // 3
    relief, satellite = triple[:, :width], triple[:, 2 * width :]
    labels = labels_of(relief)
    for row in range(triple.shape[0] // SIDE_PX):
        for column in range(width // SIDE_PX):
            place = np.s_[row * SIDE_PX : (row + 1) * SIDE_PX, column * SIDE_PX : (column + 1) * SIDE_PX]
            ids = labels[place]
            if np.bincount(ids.ravel()).max() > _MOST_OF_ONE_LABEL * ids.size:
                continue
            pictures = {
                f"satellite/{split}/label": ids[:, :, None],
                f"satellite/{split}/img": satellite[place],
                f"relief/{split}/label": ids[:, :, None],
                f"relief/{split}/img": relief[place],
                f"domains/{split}/A": relief[place],
                f"domains/{split}/B": satellite[place],
                f"reading/{split}/A": satellite[place],
                f"reading/{split}/B": coloured(ids),
            }
            for name, picture in pictures.items():
                path = folder / name / f"{tile.stem}_{row}{column}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(np.ascontiguousarray(picture), ".png"))


def _read(folder: Path, keys: tuple[str, ...], form: Callable[[Image], Image]) -> tuple[Image, ...]:
    return tuple(np.ascontiguousarray(form(read_image(folder / f"{key}.png").image)) for key in keys)


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.suffix in (".jpg", ".png", ".webp"))
    if not files:
        raise NothingMatchedError(
            f"{folder}: no pictures. Expected the folder of real data with pairs/earth, photos and kodak24: "
            f"--data FOLDER, or P2P_TEST_DATA."
        )
    return files


def _lab(picture: Image) -> NDArray[np.float32]:
    lab: NDArray[np.float32] = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    return lab
