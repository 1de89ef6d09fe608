"""Where results may go is known before any work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.io.places import path_of, paths_of, require_folder


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("place", ["/proc/out", "/proc/1/out", "/sys/out/deep"])
def test_a_place_of_the_kernels_own_is_refused(place):
    with pytest.raises(EnvironmentFaultError, match=r"nothing can be written in /(proc|sys)"):
        require_folder(Path(place))


def test_a_locked_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(EnvironmentFaultError, match=r"a/b: nothing can be written in .*Permission denied"):
        require_folder(tmp_path / "a" / "b")


def test_looking_leaves_the_folder_as_it_was(tmp_path):
    before = tmp_path.stat().st_mtime_ns
    require_folder(tmp_path / "a" / "b")
    assert (list(tmp_path.iterdir()), tmp_path.stat().st_mtime_ns) == ([], before)


def test_patterns_stay_strings():
    assert paths_of("a/*.png", "sources") == ["a/*.png"]
    assert paths_of(["a", Path("b")], "sources") == ["a", Path("b")]


@pytest.mark.parametrize("value", ["", 5, None, b"a", 1.5])
def test_what_is_no_path_is_refused_by_name(value):
    with pytest.raises(UsageError, match=r"^data: "):
        path_of(value, "data")
