"""What libjpeg and its like print about damaged files does not stand among our own lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import encode


def python(program: str, *words: str) -> str:
    """What `program` writes to stderr."""
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stderr


def test_native_writes_are_silent_inside_and_heard_again_after():
    program = (
        "import os, sys\n"
        "from p2pcli.cli.native_output import stderr_descriptor, without_native_output\n"
        "with without_native_output():\n"
        "    os.write(2, b'native\\n')\n"
        "    os.write(stderr_descriptor(), b'signal\\n')\n"
        "    print('ours', file=sys.stderr)\n"
        "os.write(2, b'after\\n')\n"
        "print('end', file=sys.stderr)\n"
    )
    assert python(program) == "signal\nours\nafter\nend\n"


def test_a_stderr_that_is_no_descriptor_is_left_alone():
    program = (
        "import io, sys\n"
        "from p2pcli.cli.native_output import without_native_output\n"
        "kept, sys.stderr = sys.stderr, io.StringIO()\n"
        "with without_native_output():\n"
        "    print('ours', file=sys.stderr)\n"
        "kept.write(sys.stderr.getvalue())\n"
    )
    assert python(program) == "ours\n"


def test_a_damaged_jpeg_prints_nothing_but_our_lines(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    data = bytearray(encode(pixels, ".jpg"))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    write_bytes(tmp_path / "in" / "bad.jpg", bytes(data))
    program = (
        "import sys\n"
        "from p2pcli.cli import main\n"
        "from p2pcli.io.codec import read_image\n"
        "read_image(sys.argv[1] + '/in/bad.jpg')\n"
        "print('now the program', file=sys.stderr)\n"
        "main(['make-pairs', 'gray', sys.argv[1] + '/in', '-o', sys.argv[1] + '/out', '-j', '1'])\n"
    )
    before, after = python(program, str(tmp_path)).split("now the program")
    assert "Corrupt JPEG data" in before
    assert "Corrupt JPEG data" not in after and "1 pair written of 1 planned" in after


@pytest.mark.skipif(os.name == "nt", reason="descriptors of POSIX")
@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_the_caller_closed_leads_nowhere(closed: int, tmp_path: Path):
    program = (
        "import os, sys\n"
        "from p2pcli.cli import main\n"
        "code = main(['recipes', 'show', 'nothing'])\n"
        f"opened = os.open({str(tmp_path / 'file')!r}, os.O_CREAT | os.O_WRONLY)\n"
        "os._exit(0 if code == 2 and opened > 2 else 1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], preexec_fn=lambda: os.close(closed), timeout=120)
    assert ended.returncode == 0
