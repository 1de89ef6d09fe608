"""Pairs in two folders, matched by name: A/ + B/ and the other layouts that published datasets have.

Further folders beside them (inst/, mask/, pose/) hold more pictures of each pair, for who asks for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from p2pcli.errors import ItemError, UsageError, item_border
from p2pcli.image import Image, Sample
from p2pcli.io.base import MAX_PIXELS, Entry, Listing, Size, sizes_fit
from p2pcli.io.codec import read_header, read_image
from p2pcli.io.folder import splits_of
from p2pcli.io.left_out import LeftOut
from p2pcli.io.listing import list_media
from p2pcli.io.name_tree import Tree, tree_below, tree_of
from p2pcli.io.pair_folders import find_pairs
from p2pcli.io.pair_names import LAYOUTS, folder_name
from p2pcli.io.pair_sides import Asked, PairFolders, Side, side_stem

_SHOWN = 3
_SCALES = (2, 4, 8)
_ANYTHING = Asked()


def find_pair_folders(
    path: Path, asked: Asked = _ANYTHING, *, listing: Listing | None = None
) -> tuple[PairFolders, ...]:
    """The sets of pairs at `path`, train before validation before test; empty where there are none.

    A folder is looked through itself; anything else (a glob, a list) by its `listing`. Raises `UsageError`
    as `find_pairs` does.
    """
    return find_pairs(_tree_of(path, listing), asked, where=str(path))


def _tree_of(path: Path, listing: Listing | None) -> Tree:
    if path.is_dir():
        return tree_below(path)
    return tree_of(entry.relative for entry in listing.entries) if listing is not None else Tree()


def entries_of(path: Path, side: Side, *, listing: Listing | None = None) -> dict[str, Entry]:
    """The pictures of one side below `path`, or of the `listing` made of it, by their keys below the side."""
    if listing is not None:
        start = f"{side.folder}/" if side.folder else ""
        taken = [entry for entry in listing.entries if side.holds(entry.relative)]
    else:
        start = ""
        entries = list_media(path / side.folder, kinds=("image",)).entries
        taken = [entry for entry in entries if side.names is None or entry.relative in side.names]
    # Where both sides lie in one folder, keys keep the suffixes that tell the files apart.
    return {
        (entry.key if side.names is None else _without_suffix(entry.relative)).removeprefix(start): entry
        for entry in taken
    }


class PairsFolderSource:
    """Pairs of files that share a path below their side's folder, whatever their suffixes, scales and marks.

    `input` is domain A, `target` domain B. Keys begin with the split where the layout names one.
    `folders` are the sets that were found, `unmatched` names the files without a partner, `beside` counts the
    pictures that lie in no side's folder and in none next to one. Raises `UsageError` where nothing matches
    in a split, and with `strict` where anything does not. `asked` says which sides are meant, which further
    folders' pictures come with each sample that has one (`extras`), and how many times one picture of a pair
    may be larger than the other (`scale`); with `any_sizes` they need not fit, as one side alone is wanted.
    `id_maps` names the pictures whose stored values are wanted (as `read_image(ids=True)` gives them):
    "input", "target", or one of the extras.
    """

    is_paired = True

    def __init__(
        self,
        path: str | Path,
        *,
        strict: bool = False,
        max_pixels: int = MAX_PIXELS,
        asked: Asked = _ANYTHING,
        id_maps: Sequence[str] = (),
        any_sizes: bool = False,
        listing: Listing | None = None,
    ) -> None:
        self.path, self._any_sizes = Path(path), any_sizes
        self._max_pixels = max_pixels
        self.left_out = LeftOut()
        self._asked, self._id_maps = asked, frozenset(id_maps)
        self._listing = None if self.path.is_dir() else listing
        self._extras: dict[str, dict[str, Entry]] = {name: {} for name in asked.extras}
        self._pairs: dict[str, tuple[Entry, Entry]] = {}
        tree = _tree_of(self.path, listing)
        self.folders = find_pairs(tree, asked, where=str(path))
        if not self.folders:
            raise UsageError(f"{path}: no paired folders. Recognised: {'; '.join(LAYOUTS)}.")
        sides = [side for one in self.folders for side in (one.input, one.target)]
        sides += [Side(folder) for one in self.folders for folder in one.others.values()]
        self.beside = sum(not any(side.holds(path) for side in sides) for path in tree.below())
        unmatched: list[str] = []
        empty: list[PairFolders] = []
        for folders in self.folders:
            before = len(self._pairs)
            unmatched += self._match(folders)
            if len(self._pairs) == before:
                empty.append(folders)
        self.unmatched: tuple[str, ...] = tuple(unmatched)
        if not self._pairs or (strict and unmatched):
            raise UsageError(self._mismatch(self.folders))
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
        a, b = self._read(first, "input"), self._read(second, "target")
        if not self._any_sizes and not sizes_fit(_size(a), _size(b), self._asked.scale):
            raise ItemError(self._words_on_sizes(key, first, _size(a), second, _size(b)))
        meta = {"source": self._shown(first), "target_source": self._shown(second)}
        return Sample(key, a, b, meta=meta, extras=self._read_extras(key, second, _size(b)))

    def file_of(self, key: str) -> Path:
        """The file of the target of `key`."""
        return self._pairs[key][1].path

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
            fit = self._any_sizes or all(
                sizes_fit(header.upright_size, target, self._asked.scale) for header in headers
            )
            if fit and all(header.bit_depth <= 16 for header in headers):
                continue
            try:
                self.read(key)
            except ItemError as error:
                raise UsageError(f"{self.path}: {error}") from None

    def _read(self, entry: Entry, name: str) -> Image:
        decoded = read_image(entry.path, max_pixels=self._max_pixels, ids=name in self._id_maps)
        self.left_out.add(self._shown(entry), decoded.meta)
        return decoded.image

    def _words_on_sizes(self, key: str, entry: Entry, size: Size, other: Entry, wanted: Size) -> str:
        return (
            f"{key}: two pictures of one sample differ in size: {self._shown(entry)} is {size[0]}×{size[1]}, "
            f"{self._shown(other)} is {wanted[0]}×{wanted[1]}. {_remedy_for(size, wanted)}"
        )

    def _read_extras(self, key: str, target: Entry, wanted: Size) -> dict[str, Image]:
        extras = {}
        for name, entries in self._extras.items():
            if key not in entries:
                continue
            image = extras[name] = self._read(entries[key], name)
            if not sizes_fit(_size(image), wanted, self._asked.scale):
                raise ItemError(self._words_on_sizes(key, entries[key], _size(image), target, wanted))
        return extras

    def _match(self, folders: PairFolders) -> list[str]:
        """Add the pairs of one set; give the files without a partner."""
        a, b = self._entries_of(folders.input), self._entries_of(folders.target)
        partners = partners_of(a, b)
        keys: dict[str, str] = {}
        for first, second in partners.items():
            # The shorter name is the one without a mark; of two alike, the target's.
            key = folders.prefix + (first if len(first) < len(second) else second)
            keys[second] = folders.prefix + second if key in self._pairs else key
            self._pairs[keys[second]] = (a[first], b[second])
        for name in self._asked.extras:
            folder = folders.others.get(folder_name(name).plain)
            if folder is not None:
                found = self._entries_of(Side(folder))
                beside = partners_of(found, b)
                self._extras[name].update(
                    (keys[second], found[first]) for first, second in beside.items() if second in keys
                )
        lonely = [entry for key, entry in a.items() if key not in partners]
        lonely += [entry for key, entry in b.items() if key not in keys]
        return [self._shown(entry) for entry in lonely]

    def _entries_of(self, side: Side) -> dict[str, Entry]:
        return entries_of(self.path, side, listing=self._listing)

    def _mismatch(self, folders: Sequence[PairFolders]) -> str:
        places = ", ".join(one.shown for one in folders)
        starts = tuple(one.prefix for one in folders)
        count = sum(key.startswith(starts) for key in self._pairs)
        first = ", ".join(self.unmatched[:_SHOWN]) + (", …" if len(self.unmatched) > _SHOWN else "")
        lonely = f"{len(self.unmatched)} files have no partner ({first})" if self.unmatched else "no images"
        return (
            f"{self.path}: {count} pairs in {places}; {lonely}. "
            "Partners share their name up to the suffix, as A/001.png and B/001.jpg do. Sets of pictures "
            "that are no pairs are for p2p train DATA -r cyclegan."
        )

    def _shown(self, entry: Entry) -> str:
        return entry.path.relative_to(self.path).as_posix() if self._listing is None else entry.relative


def partners_of(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, str]:
    """Key of `first` → its partner's key in `second`: the same, else the same but for case, scale and marks.

    Of keys that are alike without their marks (0001x2, 0001x4) none has a partner by them.
    """
    partners = {key: key for key in first if key in second}
    stems: list[dict[str, str]] = []
    for keys in (first, second):
        by_stem: dict[str, str] = {}
        twice = set()
        for key in keys:
            if key not in partners:
                stem = side_stem(f"{key}.")
                twice |= {stem} & by_stem.keys()
                by_stem[stem] = key
        stems.append({stem: key for stem, key in by_stem.items() if stem not in twice})
    found = {stems[0][stem]: stems[1][stem] for stem in stems[0] if stem in stems[1]}
    # In the order of the first side, however each partner was found.
    return {key: partners.get(key) or found[key] for key in first if key in partners or key in found}


def _remedy_for(size: Size, wanted: Size) -> str:
    """What to do about two sizes: the key for pairs of which one is so many times larger."""
    small, large = sorted((size, wanted))
    factor = next((scale for scale in _SCALES if small != large and sizes_fit(small, large, scale)), None)
    if factor is None:
        return "Bring both to one size."
    turned = ", with data.direction=BtoA as the input is the larger one" if size == large else ""
    return (
        f"One is {factor} times the other: to enlarge, set data.scale={factor}{turned} (with -r srresnet or "
        f"srgan also pairs.maker=none); else bring both to one size."
    )


def _without_suffix(relative: str) -> str:
    return relative.rpartition(".")[0] or relative


def _size(image: Image) -> Size:
    return image.shape[1], image.shape[0]
