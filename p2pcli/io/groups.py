"""Which pictures belong together, so that no split divides them: clips, and runs of near-equal neighbours."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from p2pcli.errors import ItemError
from p2pcli.image import Image, as_gray8
from p2pcli.io.codec import read_header, read_image
from p2pcli.io.pair_names import SPLITS, folder_name, plain_stem

Rule = Literal["auto", "folder", "stem", "none"]
"""What stays together: see `group_pictures`."""

Look = Callable[[str], Image]
"""A key's picture; small or gray will do. Raises `ItemError`."""

_MOST_BITS = 10
"""Bits of 64 by which the hashes of near-equal neighbours differ at most: films have 0 to 8, photos of one
kind 12 and more."""
_MOST_CHANGE = 0.2
"""Mean difference of neighbours at 16×16, in standard deviations of the picture: films 0.0 to 0.2, photos of
one kind 0.3 and more."""
_NO_CHANGE = 0.5
"""Mean difference, in steps of 8 bits, below which flat pictures are near-equal too."""
_PROBES = 48
"""Pairs of neighbours that are looked at first in a large folder; none alike: all stand alone."""
_THREADS = 4
_REGULAR = 0.9
# What cameras call their pictures; frames are lower case, or bare numbers.
_CAMERA = re.compile(r"_?(IMG|DSC[NF]?|MG|PXL|DJI|GOPR|MVI|SAM|PICT|CIMG|HPIM|IMGP|P\d)_?$")


@dataclass(frozen=True)
class Groups:
    """Key → the name of its group; a key that stands alone is its own group."""

    names: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    """What was found, as a clause: "10 folders of numbered frames"; "" where every key stands alone."""

    def name_of(self, key: str) -> str:
        """The group of `key`."""
        return self.names.get(key, key)


class _Number(NamedTuple):
    """A key taken apart at its last number."""

    key: str
    head: str
    value: int
    tail: str


class _Small(NamedTuple):
    """What neighbours are compared by."""

    bits: NDArray[np.bool_]
    gray: NDArray[np.float32]


def group_pictures(
    keys: Sequence[str], rule: Rule, look: Look | None, *, classes: Collection[str] = ()
) -> Groups:
    """The groups of `keys`, posix paths without suffix.

    "folder": the pictures of one folder; "stem": those whose paths are the same up to their last number, or,
    where that makes one group of all, the same but for case, scale and marks (0001x4); "none": each alone.
    "auto": folders of numbered frames, where there are two or more, are a group each, unless they are
    `classes`, splits, or a camera's; elsewhere neighbours by number that `look` shows to be near-equal.
    """
    if rule == "folder":
        named = {key: f"{key.rpartition('/')[0]}/" for key in keys}
        return _of_names(named, "folder")
    if rule == "stem":
        return _of_names(_stems_of(keys), "stem")
    if rule == "none":
        return Groups()
    clips = _frame_folders(keys, classes)
    names = {key: f"{folder}/" for folder, members in clips.items() for key in members}
    runs = _runs([key for key in keys if key not in names], look) if look is not None else []
    names.update((key, f"{run[0]}…") for run in runs for key in run)
    words = []
    if clips:
        words.append(f"{len(clips)} folders of numbered frames")
    if runs:
        count = sum(map(len, runs))
        words.append(
            f"{len(runs)} run{'s' if len(runs) > 1 else ''} of near-equal neighbours ({count} pictures)"
        )
    return Groups(names, " and ".join(words))


def small_picture(path: Path) -> Image:
    """A picture to compare neighbours by: a JPEG at an eighth of its size. Raises `ItemError`."""
    if read_header(path).format == "JPEG":
        data = np.frombuffer(path.read_bytes(), np.uint8)
        decoded = cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION)
        if decoded is not None and min(decoded.shape[:2]) >= 16:
            return np.asarray(decoded)[:, :, None]
    return read_image(path).image


def _of_names(names: Mapping[str, str], noun: str) -> Groups:
    count = len(set(names.values()))
    return Groups(names, f"{count} {noun}{'s' if count != 1 else ''}")


def _stems_of(keys: Sequence[str]) -> dict[str, str]:
    def plain(key: str) -> str:
        folder, slash, name = key.rpartition("/")
        return f"{folder}{slash}{plain_stem(name)}"

    def before_number(key: str) -> str:
        number = _number_of(plain(key))
        return plain(key) if number is None else number.head

    names = {key: before_number(key) for key in keys}
    return names if len(set(names.values())) > 1 else {key: plain(key) for key in keys}


def _number_of(key: str) -> _Number | None:
    folder, slash, name = key.rpartition("/")
    found = re.fullmatch(r"(.*?)(\d{1,18})(\D*)", name)
    if found is None:
        return None
    return _Number(key, f"{folder}{slash}{found[1]}", int(found[2]), found[3])


def _sequences(keys: Sequence[str]) -> list[list[_Number]]:
    """The numbered keys of one folder, those of one name together, in order of their numbers."""
    by_name: dict[tuple[str, str], list[_Number]] = defaultdict(list)
    for key in keys:
        number = _number_of(key)
        if number is not None:
            by_name[number.head, number.tail].append(number)
    return [sorted(numbers, key=lambda number: number.value) for numbers in by_name.values()]


def _by_folder(keys: Sequence[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        folders[key.rpartition("/")[0]].append(key)
    return folders


def _frame_folders(keys: Sequence[str], classes: Collection[str]) -> dict[str, list[str]]:
    """Folder → keys in order of their numbers, where two or more folders hold numbered frames."""
    found: dict[str, list[str]] = {}
    for folder, members in _by_folder(keys).items():
        name = folder.rpartition("/")[2]
        if not folder or name in classes or name.lower() in SPLITS or folder_name(name).split:
            continue
        largest = max(_sequences(members), key=len, default=[])
        if len(largest) >= 2 and len(largest) >= _REGULAR * len(members) and _is_regular(largest):
            order = [number.key for number in largest]
            found[folder] = [*order, *(key for key in members if key not in set(order))]
    return found if len(found) > 1 else {}


def _is_regular(numbers: Sequence[_Number]) -> bool:
    """True for numbers of one step, with gaps; names of a camera are none."""
    if _CAMERA.search(numbers[0].head.rpartition("/")[2]):
        return False
    steps = Counter(b.value - a.value for a, b in itertools.pairwise(numbers))
    return 2 * steps.most_common(1)[0][1] >= sum(steps.values())


def _runs(keys: Sequence[str], look: Look) -> list[list[str]]:
    """Runs of two or more neighbours by number that are near-equal, each to the next."""
    runs: list[list[str]] = []
    for members in _by_folder(keys).values():
        for numbers in _sequences(members):
            order = [number.key for number in numbers]
            if len(order) < 2 or not _any_alike(order, look):
                continue
            runs += _alike_runs(order, _looked_at(order, look))
    return runs


def _any_alike(order: Sequence[str], look: Look) -> bool:
    """False where no two of the neighbours looked at are alike; all are, where they are few."""
    places = range(len(order) - 1)
    if len(places) > _PROBES:
        places = range(0, len(order) - 1, len(places) // _PROBES)
    seen = _looked_at([order[at] for place in places for at in (place, place + 1)], look)
    return any(_are_alike(seen[order[place]], seen[order[place + 1]]) for place in places)


def _alike_runs(order: Sequence[str], seen: Mapping[str, _Small | None]) -> list[list[str]]:
    runs = [[order[0]]]
    for before, key in itertools.pairwise(order):
        if _are_alike(seen[before], seen[key]):
            runs[-1].append(key)
        else:
            runs.append([key])
    return [run for run in runs if len(run) > 1]


def _looked_at(keys: Sequence[str], look: Look) -> dict[str, _Small | None]:
    """Key → what it is compared by; None where it cannot be read."""

    def small(key: str) -> _Small | None:
        try:
            image = look(key)
        except (ItemError, OSError):
            return None
        gray = as_gray8(image)[:, :, 0]
        hashed = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
        return _Small(
            hashed[:, 1:] > hashed[:, :-1],
            cv2.resize(gray, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32),
        )

    distinct = list(dict.fromkeys(keys))
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="p2p-look") as pool:
        return dict(zip(distinct, pool.map(small, distinct), strict=True))


def _are_alike(a: _Small | None, b: _Small | None) -> bool:
    if a is None or b is None or np.count_nonzero(a.bits != b.bits) > _MOST_BITS:
        return False
    change = float(np.abs(a.gray - b.gray).mean())
    return change <= max(_NO_CHANGE, _MOST_CHANGE * float(min(a.gray.std(), b.gray.std())))
