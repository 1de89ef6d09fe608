"""Fixtures that every test may use. Inputs are made in the tests; real data only where P2P_TEST_DATA is set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images, pairs, films and weights; the test is skipped where it is not given."""
    folder = os.environ.get("P2P_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("P2P_TEST_DATA does not name a folder")
    return Path(folder)
