"""A batch on the CPU by core: the same pictures in the same order, and nobody else's threads changed."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from p2pcli.inference.cores import run_by_core


class Doubling(nn.Module):
    """Doubles its input, and remembers how large each part was and which thread ran it with how many."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, bool, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        is_here = threading.current_thread() is threading.main_thread()
        self.calls.append((len(x), is_here, torch.get_num_threads()))
        return 2 * x


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_each_picture_keeps_its_place(threads, count):
    batch = torch.arange(count * 4.0).reshape(count, 1, 2, 2)
    assert torch.equal(run_by_core(Doubling(), batch), 2 * batch)


def test_a_full_batch_is_shared_out_with_one_core_to_a_part(threads):
    network = Doubling()
    run_by_core(network, torch.zeros(6, 1, 2, 2))
    expected = {1: [(6, True, 1)], 2: [(3, False, 1)] * 2, 3: [(2, False, 1)] * 3}
    assert network.calls == expected[threads]


def test_fewer_pictures_than_cores_share_them_all(threads):
    network = Doubling()
    run_by_core(network, torch.zeros(1, 1, 2, 2))
    assert network.calls == [(1, True, threads)]


def test_the_callers_threads_and_those_of_later_threads_stay(threads):
    run_by_core(Doubling(), torch.zeros(6, 1, 2, 2))
    found = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert (torch.get_num_threads(), found) == (threads, [threads])


def test_no_graph_is_kept(threads):
    network = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        assert not run_by_core(network, torch.zeros(6, 1, 2, 2)).requires_grad


def test_what_a_part_raises_reaches_the_caller(threads):
    with pytest.raises(RuntimeError, match="expected input"):
        run_by_core(nn.Conv2d(3, 1, 1), torch.zeros(6, 1, 2, 2))
