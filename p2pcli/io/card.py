"""The dataset card: a README.md whose front matter the Hugging Face hub and `datasets` understand."""

from __future__ import annotations

import json
from collections.abc import Mapping

from p2pcli.io.parquet_shard import features
from p2pcli.visible import visible_lines

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
    (10_000_000_000, "1B<n<10B"),
    (100_000_000_000, "10B<n<100B"),
    (1_000_000_000_000, "100B<n<1T"),
)
_MORE = "n>1T"

_COLUMNS = {
    "input": "what the model sees",
    "target": "what it must produce",
    "key": "unique name of the pair",
    "source": "file it was made from",
    "source_sha256": "SHA-256 of that file",
    "frame_index": "frame of a film, counted from 0; null for photos",
    "frame_pts": "its presentation time in the film's time base",
    "op": "the pair maker",
    "op_params": "its options, JSON",
    "seed": "seed of the run",
    "crop_xywh": "part of the upright source that the target shows, in source pixels",
    "width": "of the target",
    "height": "of the target",
    "orig_width": "of the upright source",
    "orig_height": "of the upright source",
}


def dataset_card(
    *,
    title: str,
    op: str,
    settings: Mapping[str, object],
    splits: Mapping[str, tuple[int, int]],
    preview: str | None,
) -> str:
    """The text of README.md. `splits` gives pairs and bytes of each split; empty ones are left out."""
    present = {split: sizes for split, sizes in splits.items() if sizes[0]}
    total = sum(pairs for pairs, _ in present.values())
    lines = ["---", *_front_matter(title, op, present, total), "---", "", f"# {_line(title)}", ""]
    lines += [f"{total} pairs made by `p2p make-pairs {op}`: each row holds an `input` and its `target`.", ""]
    if preview is not None:
        lines += [f"![input and target]({preview})", ""]
    lines += [
        "| split | pairs |",
        "|---|---|",
        *(f"| {name} | {pairs} |" for name, (pairs, _) in present.items()),
    ]
    lines += ["", "## Columns", "", "| column | what it holds |", "|---|---|"]
    lines += [f"| {name} | {meaning} |" for name, meaning in _COLUMNS.items()]
    lines += ["", "## How it was made", "", "| setting | value |", "|---|---|"]
    lines += [f"| {name} | `{json.dumps(value, ensure_ascii=False)}` |" for name, value in settings.items()]
    lines += [
        "",
        "The pictures keep the rights of their sources; state a licence before you share them: `license` at "
        "the top of this file.",
        "",
    ]
    return visible_lines("\n".join(lines))


def _line(title: str) -> str:
    """A folder's name as the text of a heading."""
    return "".join(letter if letter.isprintable() else " " for letter in title)


def _quoted(title: str) -> str:
    """In YAML's double quotes, which hold whatever a folder may be called."""
    plain = title.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in plain) + '"'


def _front_matter(title: str, op: str, present: Mapping[str, tuple[int, int]], total: int) -> list[str]:
    lines = [f"pretty_name: {_quoted(title)}"]
    # Whose rights the pictures are under, nobody here can know.
    lines += ["license: unknown", "tags:", "- paired-images", "- pix2pix", f"- {op}"]
    lines += ["task_categories:", "- image-to-image", "size_categories:"]
    lines += [f"- {next((name for limit, name in _SIZES if total < limit), _MORE)}"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in present:
        lines += [f"  - split: {split}", f"    path: data/{split}-*"]
    lines += ["dataset_info:", "  features:"]
    for name, feature in features().items():
        lines += [f"  - name: {name}"]
        if feature["_type"] == "Image":
            lines += ["    dtype: image"]
        elif feature["_type"] == "List":
            lines += [f"    list: {feature['feature']['dtype']}"]
        else:
            lines += [f"    dtype: {feature['dtype']}"]
    lines += ["  splits:"]
    for split, (pairs, size) in present.items():
        lines += [f"  - name: {split}", f"    num_bytes: {size}", f"    num_examples: {pairs}"]
    size = sum(size for _, size in present.values())
    return [*lines, f"  download_size: {size}", f"  dataset_size: {size}"]
