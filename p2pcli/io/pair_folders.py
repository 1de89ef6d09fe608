"""Where the two sides of pairs lie below a folder: two folders, or two files of each stem, told from names.

Decides on a tree of names, whether read from the disk or made of a listing; what the names mean is in
`pair_names`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from p2pcli.errors import UsageError
from p2pcli.io.name_tree import Tree
from p2pcli.io.named_sides import named_pairs, words_on_missing
from p2pcli.io.pair_names import (
    LABEL_SUFFIXES,
    PHOTO_SUFFIXES,
    SPLITS,
    are_first_names,
    hold_the_same,
    is_first_the_input,
    may_name_a_side,
    shows_photos,
)
from p2pcli.io.pair_sides import (
    Asked,
    Candidate,
    PairFolders,
    Side,
    candidates_in,
    groups_of_files,
    halves,
    has_pictures,
    is_extra,
    is_wrapper,
    joined,
    pair_of,
    stems_below,
    stems_of,
)


def find_pairs(tree: Tree, asked: Asked, *, where: str) -> tuple[PairFolders, ...]:
    """All sets of pairs below `tree`, train before validation before test; () where there are none.

    Raises `UsageError` with `where` in front: where several readings are possible, where two folders (or two
    kinds of file) hold the same stems under names that do not tell which is which, and where a side that was
    asked for is not there.
    """
    found: Sequence[PairFolders]
    if asked.is_explicit:
        found = named_pairs(tree, "", asked, where=where)
        if not found:
            raise UsageError(words_on_missing(tree, asked, where=where))
    else:
        found = find_known_pairs(tree, asked, where=where)
        if not found:
            _refuse_unknown(tree, asked, where=where)
        return tuple(found)
    return _ordered(found)


def find_known_pairs(tree: Tree, asked: Asked, *, where: str) -> tuple[PairFolders, ...]:
    """As `find_pairs`, but two folders whose names do not tell are left alone."""
    return _ordered(_known(tree, "", asked, where=where))


def _ordered(found: Sequence[PairFolders]) -> tuple[PairFolders, ...]:
    """Keys with the split in front; train before validation before test."""
    found = [replace(pair, prefix=_split_first(pair.prefix)) for pair in found]
    order = ["train", "validation", "test"]
    splits = [pair.prefix.partition("/")[0] for pair in found]
    ranks = [order.index(split) if split in order else 3 for split in splits]
    return tuple(found[place] for place in sorted(range(len(found)), key=ranks.__getitem__))


def _known(tree: Tree, prefix: str, asked: Asked, *, where: str) -> list[PairFolders]:
    """Pairs whose names the table knows: at this level, else in one folder, else further below."""
    found: list[PairFolders] = []
    for split, candidates in candidates_in(tree, asked).items():
        pair = _known_among(candidates, asked, where=where)
        if pair is not None:
            found.append(pair_of(pair, candidates, prefix=joined(prefix, split)))
    if found:
        return found
    found += _in_one_folder(tree, prefix)
    wrapped = is_wrapper(tree)
    for name, folder in tree.folders.items():
        found += _known(folder, prefix if wrapped else joined(prefix, name), asked, where=where)
    return found


def _known_among(
    candidates: Sequence[Candidate], asked: Asked, *, where: str
) -> tuple[Candidate, Candidate] | None:
    """(input, target) where exactly one pair of the names is known, or one goes before the others."""
    sides = [one for one in candidates if not is_extra(one, asked)]
    # Thousands of folders of classes have no such name, and half a million pairs.
    named = [one for one in sides if may_name_a_side(one.name.words)]
    fitting: list[tuple[Candidate, Candidate]] = []
    for first, second in _pairs_with(named, sides):
        is_forward = is_first_the_input(first.name.words, second.name.words)
        if is_forward is None or _is_series(first, second, sides):
            continue
        if asked.must_match and not hold_the_same(stems_below(first.tree), stems_below(second.tree)):
            continue
        fitting.append((first, second) if is_forward else (second, first))
    before = [pair for pair in fitting if are_first_names(pair[0].name.plain, pair[1].name.plain)]
    chosen = before or fitting
    if len(chosen) > 1:
        names = ", ".join(f"{a.tree.relative}/ + {b.tree.relative}/" for a, b in chosen)
        a, b = chosen[0]
        raise UsageError(
            f"{where}: holds several kinds of pairs ({names}). Name one of them: --input {a.tree.relative} "
            f"--target {b.tree.relative}."
        )
    return chosen[0] if chosen else None


def _pairs_with(
    named: Sequence[Candidate], sides: Sequence[Candidate]
) -> Iterable[tuple[Candidate, Candidate]]:
    """Every two different sides of which one at least is named, each two once."""
    for place, first in enumerate(named):
        yield from ((first, other) for other in sides if other not in named[: place + 1])


def _is_series(first: Candidate, second: Candidate, sides: Sequence[Candidate]) -> bool:
    """True for a/ and b/ with a c/ beside them: clips or classes, not two sides."""
    last = {first.name.words[-1:], second.name.words[-1:]}
    return last == {("a",), ("b",)} and any(one.name.words[-1:] == ("c",) for one in sides)


def _in_one_folder(tree: Tree, prefix: str) -> list[PairFolders]:
    """Pairs of two files in this folder itself, x.png + x.jpg or x_LR4 + x_HR, where the table knows them."""
    by_suffix, by_mark = groups_of_files(tree)
    for first, second in halves({suffix: stems_of(names) for suffix, names in by_suffix.items()}, tree):
        for label, photo in ((first, second), (second, first)):
            if label in LABEL_SUFFIXES and photo in PHOTO_SUFFIXES:
                inputs, targets = (
                    Side(tree.relative, f"*.{suffix}", frozenset(by_suffix[suffix]))
                    for suffix in (label, photo)
                )
                return [PairFolders(prefix, inputs, targets, shows_photos=True)]
    for first, second in halves({mark: set(names) for mark, names in by_mark.items()}, tree):
        is_forward = is_first_the_input([first] if first else [], [second] if second else [])
        if is_forward is None:
            continue
        marks = (first, second) if is_forward else (second, first)
        inputs, targets = (
            Side(tree.relative, f"*_{mark}.*" if mark else "*.*", frozenset(by_mark[mark].values()))
            for mark in marks
        )
        return [PairFolders(prefix, inputs, targets, shows_photos=shows_photos(marks[:1]))]
    return []


def _refuse_unknown(tree: Tree, asked: Asked, *, where: str) -> None:
    """Raise `UsageError` for exactly two folders, or kinds of file, of the same stems, wherever they lie."""
    for candidates in candidates_in(tree, asked).values():
        filled = [one for one in candidates if has_pictures(one) and not is_extra(one, asked)]
        if len(filled) != 2:
            continue
        first, second = (one.tree for one in filled)
        if {first.name, second.name} <= set(asked.classes):
            continue
        shared = stems_below(first) & stems_below(second)
        if hold_the_same(stems_below(first), stems_below(second)):
            names = f"{first.relative}/ and {second.relative}/"
            how = f"--input {_short(first)} --target {_short(second)}"
            raise UsageError(_undecided(names, len(shared), how, where=where))
    by_suffix, _ = groups_of_files(tree)
    stems = {suffix: stems_of(names) for suffix, names in by_suffix.items()}
    for one, other in halves(stems, tree):
        names = f"{tree.relative}/*.{one} and *.{other}".lstrip("/")
        how = f"--input '*.{one}' --target '*.{other}'"
        raise UsageError(_undecided(names, len(stems[one] & stems[other]), how, where=where))
    for folder in tree.folders.values():
        _refuse_unknown(folder, asked, where=where)


def _short(tree: Tree) -> str:
    """The folder's own name, but for a split's."""
    parts = [part for part in tree.relative.split("/") if part.lower() not in SPLITS]
    return parts[-1] if parts else tree.relative


def _undecided(names: str, count: int, how: str, *, where: str) -> str:
    return (
        f"{where}: {names} hold the same names ({count}), as the sides of pairs do, and do not tell which "
        f"is which. Say it: {how}, or the other way round; where each is a photo for itself: --layout photos "
        f"(train: --set data.layout=photos)."
    )


def _split_first(prefix: str) -> str:
    """The prefix with its split in front, under the split's own name: train/Canon/ of Canon/Train/."""
    parts = prefix.split("/")[:-1]
    place = next((index for index, part in enumerate(parts) if part.lower() in SPLITS), None)
    if place is None:
        return prefix
    return "/".join([SPLITS[parts.pop(place).lower()], *parts, ""])
