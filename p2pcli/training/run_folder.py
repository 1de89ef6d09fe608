"""Where everything of one run lies on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pcli.errors import UsageError
from p2pcli.io.atomic import write_bytes
from p2pcli.untrusted import JSON_BYTES, Kinds, parse_json_object, read_bytes, require_kinds

_ABOUT: Kinds = {"data": str, "recipe name": str, "headline": str, "steps": int, "plan": dict}


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run below its folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def about(self) -> Path:
        """What the run was started with: data, plan, environment."""
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.path / "log.jsonl"

    @property
    def failures(self) -> Path:
        """Pairs that could not be read."""
        return self.path / "failures.jsonl"

    def in_work(self, rank: int | str) -> Path:
        """What process `rank` reads for the first time just now; there while it trains, or after it died."""
        return self.path / f".p2p-in-work-{rank}.jsonl"

    @property
    def samples(self) -> Path:
        """Sample grids, step-NNNNNNNN.png."""
        return self.path / "samples"

    @property
    def report(self) -> Path:
        """The page with curves and samples."""
        return self.path / "report.html"

    @property
    def model(self) -> Path:
        """The generator at the newest checkpoint."""
        return self.path / "model.safetensors"

    @property
    def best(self) -> Path:
        """The generator at its best validation."""
        return self.path / "best.safetensors"

    @property
    def states(self) -> Path:
        """Training states."""
        return self.path / "state"

    @property
    def tensorboard(self) -> Path:
        """Event files, where the recipe asks for them."""
        return self.path / "tensorboard"

    @property
    def is_run(self) -> bool:
        """True where a run was started here."""
        return self.about.is_file()

    def write_about(self, about: Mapping[str, object]) -> None:
        """Store what the run was started with; from then on the folder is a run."""
        write_bytes(self.about, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())

    def read_about(self) -> dict[str, Any]:
        """What `write_about` stored. Raises `UsageError` where it cannot be read."""
        try:
            about = parse_json_object(read_bytes(self.about, limit=JSON_BYTES))
            require_kinds(about, _ABOUT)
            require_kinds(about.get("plan", {}), {"limit": (int, type(None))})
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self.about}: cannot be read ({error}). Expected the run's description; train anew with "
                f"--overwrite."
            ) from None
        return about

    def clear(self) -> None:
        """Remove the files of a run, and nothing else, so that another can start here."""
        self.about.unlink(missing_ok=True)
        for path in (self.recipe, self.log, self.failures, self.report, self.model, self.best):
            path.unlink(missing_ok=True)
        for folder, pattern in (
            (self.samples, "step-*.png"),
            (self.states, "step-*.pt"),
            (self.tensorboard, "events.out.tfevents.*"),
        ):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
