"""The two sides of pairs as folders or files, what a caller asks of them, and which folders could be one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from p2pcli.io.name_tree import Tree
from p2pcli.io.pair_names import (
    SPLITS,
    FolderName,
    are_first_names,
    folder_name,
    hold_the_same,
    is_scale,
    mark_of,
    plain_stem,
    shows_photos,
    suffix_of,
)

_MOST_OTHERS = 0.1
"""Share of a folder's files that may belong to neither side where both lie in one folder."""


@dataclass(frozen=True)
class Side:
    """One side of a set of pairs: a folder with all below it, or some files of a folder."""

    folder: str
    """Posix path below the root; "" for the root itself."""
    files: str = "*"
    """Which files of the folder, for messages: "*.png"."""
    names: frozenset[str] | None = None
    """The file names; None: all that lies below the folder."""

    @property
    def shown(self) -> str:
        """As people write it: "lr/", "base/*.png"."""
        if self.names is None:
            return f"{self.folder}/"
        return f"{self.folder}/{self.files}" if self.folder else self.files

    def holds(self, relative: str) -> bool:
        """True where the file at `relative`, a posix path below the root, belongs to this side."""
        folder, _, name = relative.rpartition("/")
        if self.names is not None:
            return folder == self.folder and name in self.names
        return f"{folder}/".startswith(f"{self.folder}/") or not self.folder


@dataclass(frozen=True)
class PairFolders:
    """Where inputs and targets of one set lie. `prefix` begins the keys: "", "train/", "base/"."""

    prefix: str
    input: Side
    target: Side
    others: Mapping[str, str] = field(default_factory=dict)
    """Folders beside them that are neither, by their lower-case names without split."""
    shows_photos: bool = False
    """True where inputs are drawn from photos: label maps, sketches."""

    has_first_names: bool = False
    """True for A/ + B/ and the like, below the root itself or a split."""

    @property
    def shown(self) -> str:
        """Both sides, input first: "lr/ + hr/"."""
        return f"{self.input.shown} + {self.target.shown}"


@dataclass(frozen=True)
class Asked:
    """What the caller says of the sides."""

    input: str | None = None
    target: str | None = None
    """Folder names or paths below the root, or patterns of file names such as "*.png"."""
    scale: int = 1
    """Chooses among X2/, X3/, X4/."""
    extras: Sequence[str] = ()
    """Folders of further pictures: never a side."""
    classes: Sequence[str] = ()
    """Folders that are classes: never a side."""
    must_match: bool = False
    """True: known names do not do without the same stems, as single photos would do as well."""

    @property
    def is_explicit(self) -> bool:
        """True where at least one side is named."""
        return self.input is not None or self.target is not None


class Candidate(NamedTuple):
    """A folder that may be one side."""

    split: str
    name: FolderName
    tree: Tree


def candidates_in(tree: Tree, asked: Asked) -> dict[str, list[Candidate]]:
    """Split (or "") → the folders at this level that could be a side."""
    found: dict[str, list[Candidate]] = defaultdict(list)
    for name, folder in tree.folders.items():
        below = folder.folders
        if name.lower() in SPLITS:
            split = SPLITS[name.lower()]
            for inner, deep in below.items():
                found[split].append(Candidate(split, FolderName(split, folder_name(inner).words), deep))
        elif below and all(inner.lower() in SPLITS for inner in below):
            for inner, deep in below.items():
                split = SPLITS[inner.lower()]
                found[split].append(Candidate(split, FolderName(split, folder_name(name).words), deep))
        else:
            taken = folder_name(name)
            found[taken.split].append(Candidate(taken.split, taken, folder))
    return {
        split: [one._replace(tree=deep) for one in named for deep in _below_scale(one.tree, asked.scale)]
        for split, named in found.items()
    }


def _below_scale(folder: Tree, scale: int) -> list[Tree]:
    """The folder itself; where it holds nothing but X2/, X4/ …: those, or the one of `scale`."""
    if folder.files or not folder.folders or not all(is_scale(name) for name in folder.folders):
        return [folder]
    scaled = list(folder.folders.values())
    fitting = [one for one in scaled if one.name.lower().strip("x") == str(scale)]
    return fitting if len(scaled) > 1 and fitting else scaled


def is_extra(candidate: Candidate, asked: Asked) -> bool:
    """True for a folder of further pictures, which is never a side."""
    return any(candidate.name.plain == folder_name(name).plain for name in asked.extras)


def pair_of(
    pair: tuple[Candidate, Candidate], candidates: Sequence[Candidate], *, prefix: str
) -> PairFolders:
    """Two candidates, input first, as a set of pairs with the folders beside them."""
    first, second = pair
    others = {one.name.plain: one.tree.relative for one in candidates if one not in pair}
    return PairFolders(
        prefix,
        Side(first.tree.relative),
        Side(second.tree.relative),
        others,
        shows_photos=shows_photos(first.name.words),
        has_first_names=prefix in ("", *(f"{split}/" for split in SPLITS.values()))
        and are_first_names(first.name.plain, second.name.plain),
    )


def has_pictures(candidate: Candidate) -> bool:
    """True where at least one picture lies below the folder."""
    return next(iter(candidate.tree.below()), None) is not None


def stems_below(tree: Tree) -> set[str]:
    """Paths below a folder as both sides of a pair would have them."""
    return {side_stem(path) for path in tree.below()}


def stems_of(names: Iterable[str]) -> set[str]:
    """The names of files of one folder without their suffixes, in lower case."""
    return {(name.rpartition(".")[0] or name).lower() for name in names}


def side_stem(relative: str) -> str:
    """A posix path below a side without suffix, scale and marks: equal for the two pictures of a pair.

    >>> side_stem("X4/0001x4.png"), side_stem("street/Img_7.JPG")
    ('0001', 'street/7')
    """
    *folders, name = relative.split("/")
    kept = [folder.lower() for folder in folders if not is_scale(folder)]
    return "/".join([*kept, plain_stem(name.rpartition(".")[0] or name)])


def groups_of_files(tree: Tree) -> tuple[dict[str, list[str]], dict[str, dict[str, str]]]:
    """Suffix → file names; and mark → {base: file name}."""
    by_suffix: dict[str, list[str]] = defaultdict(list)
    by_mark: dict[str, dict[str, str]] = defaultdict(dict)
    for name in tree.files:
        by_suffix[suffix_of(name)].append(name)
        base, mark = mark_of(name.rpartition(".")[0] or name)
        by_mark[mark][base] = name
    return by_suffix, by_mark


def halves(groups: Mapping[str, set[str]], tree: Tree) -> list[tuple[str, str]]:
    """Every two groups of a folder's files that hold the same stems and leave next to no file over."""
    least = (1 - _MOST_OTHERS) * len(tree.files)
    return [
        (first, second)
        for first, second in itertools.combinations(groups, 2)
        if len(groups[first]) + len(groups[second]) >= least and hold_the_same(groups[first], groups[second])
    ]


def is_wrapper(tree: Tree) -> bool:
    """True for a folder with one folder in it and nothing else, unless that one is a split's."""
    return (
        len(tree.folders) == 1 and not tree.files and not any(name.lower() in SPLITS for name in tree.folders)
    )


def joined(prefix: str, name: str) -> str:
    """The beginning of keys one folder further down."""
    return f"{prefix}{name}/" if name else prefix
