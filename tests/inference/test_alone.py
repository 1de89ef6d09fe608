"""A picture at which the process dies is tried alone by the next run, then failed; others come through."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

DRIVER = """
import os, sys
from pathlib import Path
import p2pcli.inference.pictures as pictures
from p2pcli.inference.translator import Translator

real_read, real_run = pictures.read_image, Translator.run

def read(path, **options):
    if "decoder" in Path(path).name:
        os.kill(os.getpid(), 11)
    return real_read(path, **options)

def run(self, inputs, sources, keys):
    once = Path(os.environ["ONCE"])
    if "network" in "".join(keys) or ("once" in "".join(keys) and not once.exists()):
        once.touch()
        os.kill(os.getpid(), 9)
    return real_run(self, inputs, sources, keys)

pictures.read_image, Translator.run = read, run

if __name__ == "__main__":
    from p2pcli.cli import main
    sys.exit(main())
"""


@pytest.fixture
def translate(tmp_path: Path, tiny_model: Callable[..., Path]) -> Callable[..., tuple[int, dict]]:  # type: ignore[type-arg]
    """Runs the command over a folder of pictures with these names; gives exit code and report."""
    driver, model = tmp_path / "driver.py", tiny_model()
    driver.write_text(DRIVER)
    photos = tmp_path / "photos"

    def run(*names: str, more: tuple[str, ...] = ()) -> tuple[int, dict]:  # type: ignore[type-arg]
        photos.mkdir(exist_ok=True)
        for name in names:
            PillowImage.fromarray(np.zeros((32, 32, 3), np.uint8)).save(photos / f"{name}.png")
        words = ["translate", photos, "-m", model, "-o", tmp_path / "out", "--device", "cpu", "--json", "-q"]
        ended = subprocess.run(
            [sys.executable, driver, *words, *more],
            env={**os.environ, "ONCE": str(tmp_path / "once")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return ended.returncode, json.loads(ended.stdout) if ended.stdout else {}

    return run


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize(("name", "number"), [("decoder", signal.SIGSEGV), ("network", signal.SIGKILL)])
def test_the_next_run_does_not_die_at_the_same_picture(
    name: str,
    number: signal.Signals,
    translate: Callable[..., tuple[int, dict]],  # type: ignore[type-arg]
    tmp_path: Path,
) -> None:
    assert translate("a", name, "z")[0] == -number
    code, report = translate()
    assert (code, report["written"], report["failed"]) == (3, 2, 1)
    (failure,) = report["failures"]
    assert failure["key"] == name and number.name in failure["message"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "z.png"]
    # Nor does the one after it, which tries it no more.
    code, report = translate()
    assert (code, report["skipped"], report["failed"]) == (3, 2, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_pictures_that_were_only_in_work_beside_a_death_are_translated(
    translate: Callable[..., tuple[int, dict]],  # type: ignore[type-arg]
    tmp_path: Path,
) -> None:
    assert translate("a", "once", "z")[0] == -signal.SIGKILL
    code, report = translate()
    assert (code, report["failed"]) == (0, 0)
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    assert not list((tmp_path / "out" / ".p2p").glob("*in-work*"))
