"""What the two sides of pairs are called: folders, files and what their names have more than their stems.

The one table of names, which train, make-pairs and translate ask. Names alone; nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Folder names that mean a split → the split's name."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PHOTOS = _words(
    "img imgs image images im photo photos picture pictures jpegimages leftimg8bit rgb frame frames"
)


@dataclass(frozen=True)
class Kind:
    """One kind of pairs: what its inputs and its targets are called, lower case, without separators."""

    inputs: frozenset[str]
    targets: frozenset[str]
    shows_photos: bool = False
    """True where the input is drawn from the target: a label map, a sketch."""


KINDS = (
    Kind(frozenset("a"), frozenset("b")),
    Kind(
        _words("input inputs in source sources src x before"),
        _words(
            "target targets output outputs out dst tgt trg destination y after gt groundtruth "
            "truth reference ref"
        ),
    ),
    Kind(
        _words(
            "lr lq lowres lowresolution lowquality low small degraded noisy noise blur blurred "
            "blurry rain rainy hazy haze compressed damaged downsampled input inputs"
        ),
        _words(
            "hr hq highres highresolution highquality high large big sharp clean clear norain "
            "original originals orig gt groundtruth target targets"
        ),
    ),
    Kind(
        _words(
            "label labels labelmap labelmaps labelids mask masks seg segs segmentation "
            "segmentations segmentationclass annotation annotations annot semantic gtfine"
        ),
        _PHOTOS,
        shows_photos=True,
    ),
    Kind(
        _words(
            "conditioning condition conditions cond control controls hint hints sketch sketches "
            "edge edges line lines lineart drawing drawings canny hed scribble scribbles depth "
            "depths pose poses openpose normal normals gray grey grayscale bw"
        ),
        _PHOTOS | _words("color colour colored coloured target targets"),
        shows_photos=True,
    ),
)
"""Every kind of pairs that is known by its names."""

FIRST_NAMES = (("a", "b"), ("input", "target"), ("inputs", "targets"), ("label", "img"), ("labels", "images"))
"""Names that go before all others where several fit, so that a mask/ beside label/ and img/ stays a third."""

LAYOUTS = (
    "A/ + B/, with or without train/, val/ and test/ below each",
    "train/A/ + train/B/ (also val, test)",
    "trainA/ + trainB/ (also valA …, train_A …, train-A …)",
    "input/ + target/, label/ + img/, masks/ + images/, lr/ + hr/ and the like in place of A/ + B/",
    "x.png (labels) beside x.jpg (photo), x_LR4 beside x_HR",
)
"""The layouts that are recognised, for messages."""

LABEL_SUFFIXES, PHOTO_SUFFIXES = ("png", "gif", "bmp"), ("jpg",)
"""Of two files x.jpg and x.png, which is the label map (lossless) and which the photo."""

_ALIKE = {"jpeg": "jpg", "jpe": "jpg", "tif": "tiff"}
_DEGRADATIONS = _words("bicubic bic unknown mild difficult wild sub")
_SCALE = re.compile(r"x?[2348]x?|x[2348][a-z]?\d?")
_GLUED_SCALE = re.compile(r"(?<=\d)x[2348][a-z]?\d?$")
_ROLE_AND_SCALE = re.compile(r"(lr|hr|lq|hq)x?[2348]")
_WORDS = frozenset(word for kind in KINDS for word in (*kind.inputs, *kind.targets))
# A single letter is a name's own more often than the mark of a side.
_MARKS = frozenset(word for word in _WORDS if len(word) > 1) | {"labeltrainids", "instanceids", "combined"}
_BEFORE_DIGITS = re.compile(r"^(?:img|image|im|mask|label|lbl|gt|hr|lr|hq|lq)(?=\d)")


class FolderName(NamedTuple):
    """A folder's name taken apart."""

    split: str
    """ "train", "validation", "test", or "" where the name has none."""
    words: tuple[str, ...]
    """What is left, lower case: ("div2k", "hr") of DIV2K_train_HR."""

    @property
    def plain(self) -> str:
        """The words as one name: "inst" of train_inst."""
        return "_".join(self.words)


def folder_name(name: str) -> FolderName:
    """The split in a folder's name, and its words without split, scale and kind of degradation.

    >>> folder_name("DIV2K_train_LR_bicubic")
    FolderName(split='train', words=('div2k', 'lr'))
    """
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
    split = ""
    for word in words:
        if word in SPLITS and len(words) > 1:
            split = SPLITS[word]
            words.remove(word)
            break
    if not split and len(words) == 1:
        split, words = _glued_split(words[0])
    kept = [word for word in words if word not in _DEGRADATIONS and not _SCALE.fullmatch(word)] or words
    return FolderName(split, tuple(_without_scale(word) for word in kept))


def _glued_split(word: str) -> tuple[str, list[str]]:
    """ "train" and "a" of traina; a name that is no side's (trainer) stays whole."""
    for split in sorted(SPLITS, key=len, reverse=True):
        if word.startswith(split) and word.removeprefix(split) in _WORDS:
            return SPLITS[split], [word.removeprefix(split)]
    return "", [word]


def _without_scale(word: str) -> str:
    found = _ROLE_AND_SCALE.fullmatch(word)
    return found[1] if found else word


def is_scale(name: str) -> bool:
    """True for X4, x2 and the like: folders between a side's name and its files."""
    return bool(re.fullmatch(r"x[2348]|[2348]x", name.lower()))


def is_first_the_input(first: Sequence[str], second: Sequence[str]) -> bool | None:
    """Which of two names, as words, is the input's: True for the first; None where the table does not tell.

    Words that both have are left aside; of conditioning_images and images nothing is left of the second,
    and the first tells.
    """
    common = set(first) & set(second)
    one = "".join(word for word in first if word not in common)
    other = "".join(word for word in second if word not in common)
    if one == other:
        return None
    forward = any(one in kind.inputs and other in kind.targets for kind in KINDS)
    backward = any(other in kind.inputs and one in kind.targets for kind in KINDS)
    if forward != backward:
        return forward
    if not one or not other:
        known = one or other
        is_input = any(known in kind.inputs for kind in KINDS)
        is_target = any(known in kind.targets for kind in KINDS)
        if is_input != is_target:
            return is_input == bool(one)
    return None


def may_name_a_side(words: Sequence[str]) -> bool:
    """True where one of the words, or all as one, stands in the table."""
    return any(word in _WORDS for word in (*words, "".join(words)))


def are_first_names(first: str, second: str) -> bool:
    """True where two plain names stand in `FIRST_NAMES`, in either order."""
    return (first, second) in FIRST_NAMES or (second, first) in FIRST_NAMES


def shows_photos(input_words: Sequence[str]) -> bool:
    """True where inputs of this name are label maps, sketches and the like, and their targets photos."""
    return any(word in kind.inputs for word in input_words for kind in KINDS if kind.shows_photos)


def plain_stem(stem: str) -> str:
    """A file's stem without case, scale and the mark of its side: "0001" of 0001x4, 0001_LR4, mask_0001.

    >>> [plain_stem(stem) for stem in ("0001x4", "Canon_001_HR", "IMG_7_mask", "x4")]
    ['0001', 'canon_001', '7', 'x4']
    """
    text = stem.lower()
    while True:
        shorter = _without_mark(text)
        if not shorter or shorter == text:
            return text
        text = shorter


def mark_of(stem: str) -> tuple[str, str]:
    """A stem's base, and its side's mark behind it: ("canon_001", "lr") of Canon_001_LR4, ("x", "") of x."""
    text = stem.lower()
    base, mark = _split_mark(text)
    return (base, _without_scale(mark)) if base and mark else (text, "")


def suffix_of(name: str) -> str:
    """The file's suffix, lower case, without the dot, one for each format: "jpg" of x.JPEG."""
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    return _ALIKE.get(suffix, suffix)


def _without_mark(text: str) -> str:
    base, mark = _split_mark(text)
    if mark:
        return base
    shorter = _GLUED_SCALE.sub("", text)
    found = re.match(r"^([a-z0-9]+)[ _.\-]+(.+)$", text)
    if shorter == text and found and _is_mark(found[1]):
        shorter = found[2]
    return _BEFORE_DIGITS.sub("", shorter) or shorter


def _split_mark(text: str) -> tuple[str, str]:
    found = re.match(r"^(.+?)[ _.\-]+([a-z0-9]+)$", text)
    if found is None:
        return text, ""
    base, last = text[: -len(found[2])].rstrip(" _.-"), found[2]
    return (base, last) if base and _is_mark(last) else (text, "")


def _is_mark(word: str) -> bool:
    is_scale_word = bool(re.fullmatch(r"x[2348]|[2348]x", word))
    return word in _MARKS or word in _DEGRADATIONS or is_scale_word or bool(_ROLE_AND_SCALE.fullmatch(word))


def hold_the_same(first: Collection[str], second: Collection[str]) -> bool:
    """True where two sides hold the same stems: half of the larger side's at least have a partner."""
    shared = len(set(first) & set(second))
    return shared > 0 and 2 * shared >= max(len(first), len(second))
