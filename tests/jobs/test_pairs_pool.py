"""Pictures at which the process dies: failed rows, whether the shard has a process of its own or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

DRIVER = """
import os, sys
import p2pcli.jobs.pairs_worker as worker

real = worker.read_image

def read(content, **options):
    if len(content) == int(os.environ["DEADLY_BYTES"]):
        os.kill(os.getpid(), 11)
    return real(content, **options)

worker.read_image = read

if __name__ == "__main__":
    from p2pcli.cli import main
    sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_pictures_that_kill_the_process_are_failed_by_the_next_run(tmp_path: Path) -> None:
    photos, driver, output = tmp_path / "photos", tmp_path / "driver.py", tmp_path / "pairs"
    photos.mkdir()
    driver.write_text(DRIVER)
    noise = np.random.default_rng(0)
    for index in range(8):
        picture = noise.integers(0, 256, (16 + index, 16, 3), dtype=np.uint8)
        PillowImage.fromarray(picture).save(photos / f"{index}.bmp")
    # Of one size, and of no other's.
    (photos / "6.bmp").write_bytes((photos / "2.bmp").read_bytes())
    deadly = str((photos / "2.bmp").stat().st_size)
    words = ["make-pairs", "gray", photos, "-o", output, "--size", "16", "-j", "1", "--json", "-q"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DEADLY_BYTES": deadly}
        command = [sys.executable, driver, *words, *more]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    assert run().returncode == -signal.SIGSEGV
    ended = run()
    tally = json.loads(ended.stdout)["tally"]
    assert ended.returncode == 3
    assert (tally["planned"], tally["written"], tally["failed"]) == (8, 6, 2)
    assert [failure["key"] for failure in tally["failures"]] == ["2", "6"]
    assert not (output / ".p2p" / "in-work.jsonl").exists()
