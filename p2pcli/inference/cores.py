"""A batch on the CPU, one part of it to a core.

Cores that share each layer wait for each other after each, and longest where decoders and encoders want the
same cores; with a part to each they meet once a batch.
"""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

_MOST_PARTS = 8
"""Parts of a batch at once; with more cores than these, a part has several."""


def run_by_core(network: nn.Module, batch: Tensor) -> Tensor:
    """`network(batch)` for a (B, C, H, W) on the CPU, without gradients; whole where B is below the cores.

    Sums come in the order of fewer threads, so the result may differ from that of a lone picture in the last
    bits. `network` must keep nothing between or during its calls.
    """
    threads = torch.get_num_threads()
    parts = min(threads, _MOST_PARTS)
    if parts < 2 or len(batch) < parts:
        whole: Tensor = network(batch)
        return whole

    def run(part: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = network(part)
        return result

    return torch.cat(list(_pool(threads).map(run, batch.tensor_split(parts))))


@functools.lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that share out `threads` cores."""
    parts = min(threads, _MOST_PARTS)
    pool = ThreadPoolExecutor(parts, "network")
    all_there = threading.Barrier(parts)

    def take_share(_: int) -> None:
        # Asked first: a thread that has not been asked yet takes over the number that was set last, anywhere.
        torch.get_num_threads()
        torch.set_num_threads(threads // parts)
        all_there.wait()

    list(pool.map(take_share, range(parts)))
    # The number is the calling thread's own, but threads that begin later take the one that was set last.
    torch.set_num_threads(threads)
    return pool
