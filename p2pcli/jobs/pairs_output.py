"""The folder that make-pairs fills: begun with a plan, resumed against it, ended with a manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2pcli.errors import UsageError
from p2pcli.io.atomic import atomic_path, environment_fault, flush_files, sweep_stale, write_bytes
from p2pcli.io.card import dataset_card
from p2pcli.io.codec import encode
from p2pcli.io.contact_sheet import contact_sheet
from p2pcli.io.parquet import ParquetSource
from p2pcli.io.parquet_shard import write_texts
from p2pcli.io.places import real, require_folder, require_no_links
from p2pcli.jobs.pairs_plan import PairsPlan
from p2pcli.jobs.pairs_split import SPLITS
from p2pcli.jobs.pairs_worker import DATA_FOLDER, RECORD_FOLDER, ShardRecord, read_record
from p2pcli.plan import Tally, require_same
from p2pcli.untrusted import read_json

SIDE_FOLDER = ".p2p"
PLAN_FILE = f"{SIDE_FOLDER}/plan.json"
MANIFEST_FILE = f"{SIDE_FOLDER}/manifest.json"
ERRORS_FILE = f"{SIDE_FOLDER}/errors.parquet"
PREVIEW_FILE = "preview.png"
_PREVIEW_PAIRS = 12


def begin(output: Path, plan: PairsPlan, *, overwrite: bool) -> dict[str, ShardRecord]:
    """Make or reopen the folder; gives the records of the shards that are finished already, by shard name.

    With `overwrite`, a finished or different dataset is moved aside until the new one is whole. Raises
    `UsageError` for a folder that is none of ours, `ResumeMismatchError` for another plan.
    """
    if not _is_utf8(str(output)):
        raise UsageError(
            f"{str(output)!a}: the name holds bytes that are no UTF-8, which Parquet cannot open. Choose "
            "another -o."
        )
    require_folder(output)
    require_no_links(output, [output / name for name in (DATA_FOLDER, SIDE_FOLDER, RECORD_FOLDER)])
    before = read_plan(output)
    if before is None and output.exists() and any(not path.name.startswith(".") for path in output.iterdir()):
        raise UsageError(
            f"{output} holds files that make-pairs did not write. Choose an empty or new folder with -o."
        )
    if before is not None:
        finished = (output / MANIFEST_FILE).is_file()
        if overwrite and (finished or before != plan.described):
            _move_aside(output)
        else:
            remedy = "Choose another folder with -o, or replace it with --overwrite."
            require_same(before, plan.described, what=str(output), remedy=remedy)
            sweep_stale(output)
            found = {shard.name: read_record(output, shard) for shard in plan.shards}
            return {name: record for name, record in found.items() if record is not None}
    _write_json(output / PLAN_FILE, plan.described)
    return {}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_finished(output: Path, plan: PairsPlan, records: dict[str, ShardRecord]) -> bool:
    """True where the manifest is there and every shard is whole."""
    return (output / MANIFEST_FILE).is_file() and len(records) == len(plan.shards)


def read_plan(output: Path) -> dict[str, Any] | None:
    """The plan that the folder was begun with, or None where it holds none."""
    try:
        values = read_json(output / PLAN_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{output / PLAN_FILE} cannot be read ({error}). "
            f"Delete {output}, or choose another folder with -o."
        ) from None
    return values if isinstance(values, dict) else {}


def finish(
    output: Path, plan: PairsPlan, records: Sequence[ShardRecord], tally: Tally, *, preview: Path | None
) -> None:
    """Write the table of errors, the preview, the card and, last, the manifest; drop what was moved aside."""
    # Workers that were killed in this very run leave temporary files too.
    sweep_stale(output)
    (output / MANIFEST_FILE).unlink(missing_ok=True)
    write_errors(output, plan, tally)
    flush_files([output / record.name for record in records])
    rows = {split: sum(one.rows for one in records if one.split == split) for split in SPLITS}
    write_preview(output, records, preview)
    described = {
        name: value for name, value in plan.described.items() if name not in ("maker", "inputs", "limit")
    }
    card = dataset_card(
        title=real(output).name,
        op=plan.settings.maker,
        settings=described,
        splits={
            split: (rows[split], sum(one.bytes for one in records if one.split == split)) for split in SPLITS
        },
        preview=PREVIEW_FILE if preview is None else None,
    )
    write_bytes(output / "README.md", card.encode())
    manifest = {
        "schema_version": 1,
        "plan": plan.described,
        "plan_sha256": plan.fingerprint,
        "libraries": _libraries(),
        "splits": rows,
        "shards": [_listed(record) for record in records],
        "tally": {name: value for name, value in tally.as_json().items() if name != "failures"},
    }
    _write_json(output / MANIFEST_FILE, manifest)
    drop_replaced(output)


def drop_replaced(output: Path) -> None:
    """Remove what `overwrite` had moved aside; to be called once the new dataset is whole."""
    shutil.rmtree(_aside(output), ignore_errors=True)
    shutil.rmtree(_dropped(output), ignore_errors=True)


def discard(output: Path) -> None:
    """Take away a dataset that came out empty; what `overwrite` had moved aside comes back."""
    for name in (DATA_FOLDER, SIDE_FOLDER):
        shutil.rmtree(output / name, ignore_errors=True)
    if not any(output.iterdir()):
        output.rmdir()
        if _aside(output).exists():
            _aside(output).rename(output)


def write_errors(output: Path, plan: PairsPlan, tally: Tally) -> None:
    """The table of everything that did not become a pair: status "failed" or "skipped", and why."""
    failed = [("failed", one.key, one.source, one.stage, one.error, one.message) for one in tally.failed]
    skipped = [("skipped", None, path, "listing", None, reason) for path, reason in plan.skipped]
    rows: list[tuple[str | None, ...]] = [*failed, *skipped]
    names = ("status", "key", "source", "stage", "error", "message")
    with atomic_path(output / ERRORS_FILE) as temporary:
        write_texts(temporary, {name: [row[index] for row in rows] for index, name in enumerate(names)})


def write_preview(output: Path, records: Sequence[ShardRecord], preview: Path | None) -> None:
    """A contact sheet of pairs spread evenly over the dataset."""
    files = [output / record.name for record in records if record.rows]
    chosen = files[:: max(1, len(files) // _PREVIEW_PAIRS)][:_PREVIEW_PAIRS]
    each = -(-_PREVIEW_PAIRS // len(chosen))
    samples = []
    for file in chosen:
        source = ParquetSource(file)
        keys = [key for split in source.splits().values() for key in split]
        samples += [source.read(key) for key in keys[:: max(1, len(keys) // each)][:each]]
    sheet = contact_sheet(samples[:_PREVIEW_PAIRS])
    place = output / PREVIEW_FILE if preview is None else preview
    write_bytes(place, encode(sheet, ".png", png_compression=None))


def _listed(record: ShardRecord) -> dict[str, Any]:
    values = record.as_json()
    values["failed"] = len(values.pop("failures"))
    for name in ("pictures", "left_out", "kept", "films"):
        del values[name]
    return values


def _aside(output: Path) -> Path:
    resolved = real(output)
    return resolved.with_name(f".{resolved.name}.replaced")


def _dropped(output: Path) -> Path:
    resolved = real(output)
    return resolved.with_name(f".{resolved.name}.dropped")


def _move_aside(output: Path) -> None:
    """Out of the way, but not deleted before the new dataset is whole. A finished one aside is kept."""
    place = real(output)
    try:
        if (_aside(output) / MANIFEST_FILE).is_file():
            # By way of a rename: amid its removal, a kill would leave a folder that is none of ours.
            shutil.rmtree(_dropped(output), ignore_errors=True)
            place.rename(_dropped(output))
            shutil.rmtree(_dropped(output), ignore_errors=True)
        else:
            shutil.rmtree(_aside(output), ignore_errors=True)
            place.rename(_aside(output))
            place.mkdir()
    except OSError as error:
        fault = environment_fault(error, output)
        if fault is None:
            raise
        raise fault from error


def _write_json(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=1, ensure_ascii=False, sort_keys=True)
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def _libraries() -> dict[str, str]:
    """Versions that can change the bytes of a dataset."""
    from importlib.metadata import version

    from p2pcli import __version__

    names = ("opencv-python-headless", "Pillow", "pyarrow", "av", "numpy")
    return {"p2pcli": __version__, **{name: version(name) for name in names}}
