"""Which of the pictures that were found make-pairs takes, and which of them stay together in the split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from p2pcli.errors import UsageError, did_you_mean
from p2pcli.image import Image
from p2pcli.io.base import Entry, Listing, Skipped
from p2pcli.io.groups import Groups, Rule, group_pictures, small_picture
from p2pcli.io.listing import LIST_SUFFIXES
from p2pcli.io.name_tree import tree_of
from p2pcli.io.pair_folders import find_pairs
from p2pcli.io.pair_sides import Asked, PairFolders
from p2pcli.plan import fingerprint

Layout = Literal["photos", "folders"]
"""Every picture for itself, or the targets of two folders (or of two files of one stem)."""

LAYOUTS: tuple[Layout, ...] = ("photos", "folders")
RULES: tuple[Rule, ...] = ("auto", "folder", "stem", "none")
OTHER_SIDE = "the other side of a pair"


@dataclass(frozen=True)
class PictureChoice:
    """What the caller says of the pictures; None and "auto": what lies there decides."""

    layout: Layout | None = None
    input_folder: str | None = None
    target_folder: str | None = None
    group: Rule = "auto"

    def __post_init__(self) -> None:
        if self.layout is not None and self.layout not in LAYOUTS:
            raise UsageError(f"unknown layout '{self.layout}'. {did_you_mean(self.layout, LAYOUTS)}")
        if self.group not in RULES:
            raise UsageError(f"unknown group '{self.group}'. {did_you_mean(self.group, RULES)}")
        if self.layout == "photos" and (self.input_folder or self.target_folder):
            raise UsageError("--layout photos takes all pictures; leave out --input and --target.")

    @property
    def is_open(self) -> bool:
        """True where nothing was said."""
        return self == PictureChoice()


_AS_ONCE = PictureChoice(layout="photos", group="none")
"""How datasets were made that know neither layout nor groups."""


@dataclass(frozen=True)
class Pictures:
    """The pictures and films that are taken, their groups, and what was chosen."""

    listing: Listing
    groups: Groups
    described: Mapping[str, Any]
    """What resume compares; empty for a dataset that knows neither layout nor groups."""
    notes: tuple[str, ...] = ()


def choose_pictures(
    sources: Sequence[str | Path],
    listing: Listing,
    choice: PictureChoice,
    *,
    before: Mapping[str, Any] | None = None,
) -> Pictures:
    """Take the targets where the listing holds both sides of pairs, and find what belongs together.

    A dataset with the plan `before` that was begun before layouts and groups were told apart goes on with all
    pictures, each for itself, unless `choice` says otherwise. Raises `UsageError` where two folders hold the
    same names and do not tell which is which.
    """
    if before and "group" not in before and choice.is_open:
        return replace(choose_pictures(sources, listing, _AS_ONCE), described={})
    where = ", ".join(map(str, sources))
    folders: tuple[PairFolders, ...] = ()
    if choice.layout != "photos" and (not choice.is_open or _may_hold_pairs(sources)):
        asked = Asked(choice.input_folder, choice.target_folder, must_match=choice.layout is None)
        pictures = (entry.relative for entry in listing.entries if entry.kind == "image")
        folders = find_pairs(tree_of(pictures), asked, where=where)
    if choice.layout == "folders" and not folders:
        raise UsageError(f"{where}: no two folders of pairs. Name them: --input FOLDER --target FOLDER.")
    taken, notes = _targets_of(listing, folders)
    images = {entry.key: entry for entry in taken.entries if entry.kind == "image"}

    def look(key: str) -> Image:
        return small_picture(images[key].path)

    groups = group_pictures(list(images), choice.group, look)
    if groups.words:
        notes.append(
            f"{groups.words}: each stays in one split (--group {choice.group}). --group none takes every "
            f"picture by itself."
        )
    described = {
        "layout": [one.shown for one in folders] or "photos",
        "group": fingerprint(sorted(groups.names.items())) if groups.names else "none",
    }
    return Pictures(taken, groups, described, tuple(notes))


def _may_hold_pairs(sources: Sequence[str | Path]) -> bool:
    """False for files that were named one by one."""
    return any(
        Path(source).suffix.lower() in LIST_SUFFIXES or not Path(source).is_file() for source in sources
    )


def _targets_of(listing: Listing, folders: Sequence[PairFolders]) -> tuple[Listing, list[str]]:
    if not folders:
        return listing, []
    entries: list[Entry] = []
    skipped = list(listing.skipped)
    for entry in listing.entries:
        is_input = entry.kind == "image" and any(one.input.holds(entry.relative) for one in folders)
        if is_input:
            skipped.append(Skipped(entry.path, OTHER_SIDE))
        else:
            entries.append(entry)
    first, more = folders[0], "" if len(folders) == 1 else f" and {len(folders) - 1} more like it"
    note = (
        f"{first.input.shown} and {first.target.shown} hold the same pictures{more}: those of "
        f"{first.target.shown} are taken. To train on the pairs as they are: p2p train. To take all: "
        f"--layout photos."
    )
    return Listing(tuple(entries), tuple(skipped)), [note]
