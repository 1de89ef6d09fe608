"""The dataset card: front matter with the words that the Hugging Face hub filters by."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from p2pcli.io.card import dataset_card
from p2pcli.pairs import MAKERS


def card(title: str = "pairs", op: str = "edges", pairs: int = 12) -> str:
    splits = {"train": (pairs, 100), "validation": (0, 0)}
    return dataset_card(title=title, op=op, settings={"size": 256}, splits=splits, preview="preview.png")


def front_matter(text: str) -> dict[str, Any]:
    return DatasetCard(text).data.to_dict()


@pytest.mark.parametrize("op", MAKERS)
def test_licence_tags_task_and_size_are_said_as_the_hub_expects(op):
    values = front_matter(card(op=op))
    assert values["license"] == "unknown"
    assert values["task_categories"] == ["image-to-image"]
    assert values["tags"] == ["paired-images", "pix2pix", op]
    assert values["size_categories"] == ["n<1K"]
    assert values["pretty_name"] == "pairs"
    assert values["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]


@pytest.mark.parametrize("pairs", [1, 999, *(10**power for power in range(3, 14))])
def test_every_size_category_is_one_of_the_hubs_and_the_right_one(pairs):
    known = json.loads(files("datasets.utils.resources").joinpath("size_categories.json").read_text())
    [category] = front_matter(card(pairs=pairs))["size_categories"]
    assert category in known
    numbers = category.replace("K", "000").replace("M", "000000").replace("B", "000000000")
    parts = numbers.replace("T", "000000000000").replace(">", "<").split("<")
    limits = [int(part) for part in parts if part != "n"]
    if category.startswith("n<"):
        assert pairs < limits[0]
    elif category.startswith("n>"):
        assert pairs >= limits[0]
    else:
        assert limits[0] <= pairs < limits[1]


TITLES = [
    'a "b": c',
    "a\\b",
    "---",
    "# x",
    "yes",
    "12",
    "größer 🦉",
    "two\nlines",
    "a\x1b[31m",
    "\x7f\x85\u2028",
]


@pytest.mark.parametrize("title", TITLES)
def test_whatever_the_folder_is_called_the_card_is_read(title):
    text = card(title=title)
    assert front_matter(text)["pretty_name"] == title
    assert text.split("\n---\n", 1)[1].splitlines()[1].startswith("# ")
    assert "\x1b" not in text
