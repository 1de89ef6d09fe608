"""Pairs in two folders, matched by name: A/ + B/ and the other layouts that published datasets have.

Further folders beside them (inst/, mask/, pose/) hold more pictures of each pair, for who asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from p2pcli.errors import ItemError, UsageError, item_border
from p2pcli.image import Image, Sample
from p2pcli.io.base import MAX_PIXELS, Entry, Size, sizes_fit
from p2pcli.io.codec import read_header, read_image
from p2pcli.io.folder import SPLITS, splits_of
from p2pcli.io.left_out import LeftOut
from p2pcli.io.listing import list_media

DOMAINS = {
    "a": ("a", "b"),
    "input": ("input", "target"),
    "inputs": ("inputs", "targets"),
    "label": ("label", "img"),
    "labels": ("labels", "images"),
}
"""Folder name of domain A → (A, B), lower case. In pix2pixHD's label + img the label is A."""

LAYOUTS = (
    "A/ + B/, with or without train/, val/ and test/ below each",
    "train/A/ + train/B/ (also val, test)",
    "trainA/ + trainB/ (also valA …, train_A …, train-A …)",
    "input/ + target/ or label/ + img/ in place of A/ + B/",
)
"""The layouts that are recognised, for messages."""

_SHOWN = 3


@dataclass(frozen=True)
class DomainFolders:
    """Where the two domains of one split lie. `split` is "" where the layout names none."""

    split: str
    a: Path
    b: Path
    others: Mapping[str, Path] = field(default_factory=dict)
    """Folders of the same split that are neither, by their lower-case names."""


def find_domain_folders(path: Path) -> tuple[DomainFolders, ...]:
    """The paired folders in `path`, in the order train, validation, test; empty where there are none.

    Raises `UsageError` where several layouts fit at once.
    """
    if not path.is_dir():
        return ()
    found: dict[str, dict[str, dict[str, Path]]] = {}
    others: dict[str, dict[str, Path]] = {}
    for split, name, folder in _candidates(path):
        others.setdefault(split, {})[name] = folder
        for first, pair in DOMAINS.items():
            if name in pair:
                found.setdefault(first, {}).setdefault(split, {})[name] = folder
    complete = {
        first: [
            DomainFolders(split, sides[a], sides[b], _without(others[split], (a, b)))
            for split, sides in by_split.items()
            if len(sides) == 2
        ]
        for first, by_split in found.items()
        for a, b in [DOMAINS[first]]
    }
    fitting = {first: folders for first, folders in complete.items() if folders}
    if len(fitting) > 1:
        names = ", ".join(f"{DOMAINS[first][0]}/ + {DOMAINS[first][1]}/" for first in fitting)
        raise UsageError(
            f"{path}: holds several kinds of pairs ({names}). Name one of them, or move one away."
        )
    order = ["train", "validation", "test", ""]
    return tuple(sorted((f for group in fitting.values() for f in group), key=lambda f: order.index(f.split)))


class PairsFolderSource:
    """Pairs of files that share a path below their domain's folder, whatever their suffixes.

    `input` is domain A, `target` domain B. Keys begin with the split where the layout names one.
    `unmatched` names the files without a partner. Raises `UsageError` where nothing matches in a split, and
    with `strict` where anything does not. `extras` names further folders, whose pictures come with each
    sample that has one; `scale` allows one picture of a pair to be so many times larger than the other.
    """

    is_paired = True

    def __init__(
        self,
        path: str | Path,
        *,
        strict: bool = False,
        max_pixels: int = MAX_PIXELS,
        extras: Sequence[str] = (),
        scale: int = 1,
    ) -> None:
        self.path = Path(path)
        self._max_pixels = max_pixels
        self.left_out = LeftOut()
        self._wanted, self._scale = tuple(extras), scale
        self._extras: dict[str, dict[str, Entry]] = {name: {} for name in extras}
        self._pairs: dict[str, tuple[Entry, Entry]] = {}
        folders = find_domain_folders(self.path)
        if not folders:
            raise UsageError(f"{path}: no paired folders. Recognised: {'; '.join(LAYOUTS)}.")
        unmatched: list[str] = []
        empty: list[DomainFolders] = []
        for domain in folders:
            before = len(self._pairs)
            unmatched += self._match(domain)
            if len(self._pairs) == before:
                empty.append(domain)
        self.unmatched: tuple[str, ...] = tuple(unmatched)
        if not self._pairs or (strict and unmatched):
            raise UsageError(self._mismatch(folders))
        if empty:
            raise UsageError(
                f"{self._mismatch(empty)} The other splits have pairs: fill this one, or remove its folders."
            )

    def splits(self) -> dict[str, Sequence[str]]:
        """Split → keys; one split "all" where the layout names none."""
        return splits_of(list(self._pairs))

    def read(self, key: str) -> Sample:
        """The pair `key`. Raises `ItemError` for damaged bytes and for two sizes that differ."""
        if key not in self._pairs:
            raise UsageError(f"{self.path}: no pair '{key}' among its {len(self._pairs)}.")
        first, second = self._pairs[key]
        a, b = self._decoded(first), self._decoded(second)
        if not sizes_fit(_size(a), _size(b), self._scale):
            raise ItemError(self._words_on_sizes(key, first, _size(a), second, _size(b)))
        meta = {"source": self._shown(first), "target_source": self._shown(second)}
        return Sample(key, a, b, meta=meta, extras=self._read_extras(key, second, _size(b)))

    def require_usable(self) -> None:
        """Raise `UsageError` for the first sample whose pictures differ in size, or hold NaN and the like.

        Headers are looked at. A sample is decoded only where sizes differ, since the orientation of a PNG may
        stand behind its pixels, and for 32-bit values, which may be any. Files whose header cannot be read
        are left for `read`.
        """
        for key, pair in self._pairs.items():
            entries = [*pair, *(found[key] for found in self._extras.values() if key in found)]
            try:
                with item_border(key):
                    headers = [read_header(entry.path) for entry in entries]
            except ItemError:
                continue
            target = headers[1].upright_size
            fit = all(sizes_fit(header.upright_size, target, self._scale) for header in headers)
            if fit and all(header.bit_depth <= 16 for header in headers):
                continue
            try:
                self.read(key)
            except ItemError as error:
                raise UsageError(f"{self.path}: {error}") from None

    def _words_on_sizes(self, key: str, entry: Entry, size: Size, other: Entry, wanted: Size) -> str:
        return (
            f"{key}: two pictures of one sample differ in size: {self._shown(entry)} is {size[0]}×{size[1]}, "
            f"{self._shown(other)} is {wanted[0]}×{wanted[1]}. Bring both to one size."
        )

    def _decoded(self, entry: Entry) -> Image:
        decoded = read_image(entry.path, max_pixels=self._max_pixels)
        self.left_out.add(self._shown(entry), decoded.meta)
        return decoded.image

    def _read_extras(self, key: str, target: Entry, wanted: Size) -> dict[str, Image]:
        extras = {}
        for name, entries in self._extras.items():
            if key not in entries:
                continue
            image = extras[name] = self._decoded(entries[key])
            if not sizes_fit(_size(image), wanted, self._scale):
                raise ItemError(self._words_on_sizes(key, entries[key], _size(image), target, wanted))
        return extras

    def _match(self, domain: DomainFolders) -> list[str]:
        """Add the pairs of one split; give the files without a partner."""
        a, b = (
            {entry.key: entry for entry in list_media(folder, kinds=("image",)).entries}
            for folder in (domain.a, domain.b)
        )
        prefix = f"{domain.split}/" if domain.split else ""
        self._pairs.update((prefix + key, (a[key], b[key])) for key in a if key in b)
        for name in self._wanted:
            if name.lower() in domain.others:
                found = list_media(domain.others[name.lower()], kinds=("image",)).entries
                self._extras[name].update((prefix + entry.key, entry) for entry in found)
        lonely = [entry for key, entry in a.items() if key not in b]
        lonely += [entry for key, entry in b.items() if key not in a]
        return [self._shown(entry) for entry in lonely]

    def _mismatch(self, folders: Sequence[DomainFolders]) -> str:
        places = ", ".join(f"{f.a.relative_to(self.path)}/ + {f.b.relative_to(self.path)}/" for f in folders)
        starts = tuple(f"{f.split}/" if f.split else "" for f in folders)
        count = sum(key.startswith(starts) for key in self._pairs)
        first = ", ".join(self.unmatched[:_SHOWN]) + (", …" if len(self.unmatched) > _SHOWN else "")
        lonely = f"{len(self.unmatched)} files have no partner ({first})" if self.unmatched else "no images"
        return (
            f"{self.path}: {count} pairs in {places}; {lonely}. "
            "Partners share their name up to the suffix, as A/001.png and B/001.jpg do."
        )

    def _shown(self, entry: Entry) -> str:
        return entry.path.relative_to(self.path).as_posix()


def _candidates(path: Path) -> list[tuple[str, str, Path]]:
    """(split or "", lower-case domain name, folder) of every folder that a layout could mean."""
    result: list[tuple[str, str, Path]] = []
    for name, folder in _subfolders(path):
        below = _subfolders(folder)
        if name in SPLITS:
            result += [(SPLITS[name], inner, deep) for inner, deep in below]
        elif below and all(inner in SPLITS for inner, _ in below):
            result += [(SPLITS[inner], name, deep) for inner, deep in below]
        else:
            split, domain = _split_and_domain(name)
            result.append((split, domain, folder))
    return result


def _split_and_domain(name: str) -> tuple[str, str]:
    """("train", "a") for traina, train_a and train-a; ("", name) for a name without a split.

    A folder that is no domain (train_inst) has its split in front only with a dash or underscore.
    """
    for word in sorted(SPLITS, key=len, reverse=True):
        found = re.fullmatch(rf"{word}([_-]?)(.+)", name)
        if found and (found[1] or any(found[2] in pair for pair in DOMAINS.values())):
            return SPLITS[word], found[2]
    return "", name


def _without(folders: Mapping[str, Path], names: Sequence[str]) -> dict[str, Path]:
    return {name: folder for name, folder in folders.items() if name not in names}


def _size(image: Image) -> Size:
    return image.shape[1], image.shape[0]


def _subfolders(path: Path) -> list[tuple[str, Path]]:
    """(lower-case name, path) of the visible folders in `path`, sorted."""
    try:
        folders = [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted((folder.name.lower(), folder) for folder in folders)
