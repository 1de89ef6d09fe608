"""A job's large arrays are not fetched from the system again and again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, ctypes, resource, sys
from p2pcli.kept_memory import arrays_freed_at_once, keep_freed_memory
if "keep" in sys.argv:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def use():
    block = libc.malloc(48 << 20)
    libc.memset(block, 1, 48 << 20)
    libc.free(block)
use()
inside = contextlib.ExitStack()
if "at once" in sys.argv:
    inside.enter_context(arrays_freed_at_once())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*words: str, **environment: str) -> int:
    """Of ten uses of 48 MB, after a first one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", PROGRAM, *words]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=own | environment)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_large_arrays_are_fetched_from_the_system_once():
    assert page_faults("keep") < 100 < 10 * 1000 < page_faults()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_what_the_environment_says_of_the_allocator_stands():
    assert page_faults("keep", MALLOC_MMAP_THRESHOLD_="1000000") > 10 * 1000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_arrays_are_given_back_where_a_network_needs_the_memory_itself():
    assert page_faults("keep", "at once") > 10 * 1000
