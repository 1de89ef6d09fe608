"""Of a folder that holds both sides of pairs, the side that a model translates."""

from __future__ import annotations

from p2pcli.errors import UsageError
from p2pcli.inference.translator import Translator
from p2pcli.io.base import Listing, Skipped
from p2pcli.io.name_tree import tree_of
from p2pcli.io.pair_folders import find_known_pairs
from p2pcli.io.pair_names import folder_name
from p2pcli.io.pair_sides import Asked, PairFolders, Side

OTHER_SIDE = "the other side of a pair"


def inputs_alone(
    listing: Listing, translator: Translator, *, direction: str | None
) -> tuple[Listing, list[str]]:
    """The listing without the targets of pairs that it holds, which count as skipped, and a line on them.

    Sides that names do not tell apart, or whose inputs such a model may not be meant for, are all kept.
    """
    images = [entry for entry in listing.entries if entry.kind == "image"]
    asked = Asked(extras=translator.data.folders, classes=translator.data.classes, must_match=True)
    try:
        found = find_known_pairs(tree_of(entry.relative for entry in images), asked, where="the sources")
    except UsageError:
        return listing, []
    folders = [one for one in found if _are_meant(one, translator)]
    if not folders:
        return listing, []
    is_turned = _direction_of(translator, direction) == "BtoA"
    aside = [one.input if is_turned else one.target for one in folders]
    further = [folder_name(name).plain for name in translator.data.folders]
    aside += [Side(folder) for one in folders for name, folder in one.others.items() if name in further]
    kept, skipped = [], list(listing.skipped)
    for entry in listing.entries:
        if entry.kind == "image" and any(side.holds(entry.relative) for side in aside):
            skipped.append(Skipped(entry.path, OTHER_SIDE))
        else:
            kept.append(entry)
    first = folders[0]
    taken = first.target if is_turned else first.input
    more = "" if len(folders) == 1 else f", and {len(folders) - 1} more like it"
    note = (
        f"{first.shown}{more} are two sides of pairs: {taken.shown} is translated, {aside[0].shown} is left "
        f"alone. To translate it as well, name that folder itself."
    )
    return Listing(tuple(kept), tuple(skipped)), [note]


def _are_meant(folders: PairFolders, translator: Translator) -> bool:
    """Label maps and drawings are inputs of models that were trained on such; a maker draws them itself.

    Two files x.png and x.jpg are sides for a model of label maps alone: others may be asked to do both.
    """
    recipe, data = translator.recipe, translator.data
    if folders.input.files.startswith("*."):
        return data.labels is not None
    return not folders.shows_photos or (recipe is not None and recipe.pairs.maker is None)


def _direction_of(translator: Translator, direction: str | None) -> str:
    recipe = translator.recipe
    if recipe is not None and recipe.task == "unpaired":
        return direction or "AtoB"
    return translator.data.direction
