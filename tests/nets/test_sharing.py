"""Batch norm over the parts of several processes; `tests/training/test_distributed.py` has real ones."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import Tensor

from p2pcli.losses import r1
from p2pcli.nets import UNet, init_weights
from p2pcli.nets.blocks import BatchNorm2d
from p2pcli.nets.patchgan import PatchGAN
from p2pcli.nets.sharing import SharedStatistics


def features() -> Tensor:
    drawn = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    return (drawn * 3 + 40).requires_grad_()


def share(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, BatchNorm2d):
            module.shared = SharedStatistics(lambda tensor: tensor)


def test_with_all_of_a_batch_it_is_batch_norm() -> None:
    found = []
    for is_shared in (False, True):
        norm, x = BatchNorm2d(2), features()
        if is_shared:
            share(norm)
        y = norm(x)
        (y * torch.arange(y.numel()).view_as(y)).sum().backward()
        found.append([y, x.grad, norm.weight.grad, *norm.state_dict().values()])
    for plain, shared in zip(*found, strict=True):
        torch.testing.assert_close(shared, plain, rtol=1e-3, atol=1e-3)


def test_penalties_go_through_it_twice() -> None:
    gradients = []
    for is_shared in (False, True):
        torch.manual_seed(0)
        network = PatchGAN(input_channels=3, channels=4, receptive_field=16)
        if is_shared:
            share(network)
        x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        r1(network, x).backward()
        gradients.append(network.model[2].weight.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-6)


def test_two_parts_have_the_statistics_of_both() -> None:
    x, norm = features().detach(), BatchNorm2d(2, affine=False)
    expected = torch.nn.functional.batch_norm(x, None, None, training=True)
    mine, others = x[:1].double(), x[1:].double()
    count = others.numel() / 2
    own_mean, mean = others.mean((0, 2, 3)), x.double().mean((0, 2, 3))
    spread = (others - mean[None, :, None, None]).square().sum((0, 2, 3))
    answers = [torch.cat([own_mean * count, torch.tensor([count])]), spread]
    norm.shared = SharedStatistics(lambda tensor: tensor + answers.pop(0).float())
    torch.testing.assert_close(norm(mine.float()), expected[:1], rtol=1e-4, atol=1e-4)
    assert norm.running_mean == pytest.approx((0.1 * mean).tolist(), rel=1e-4)


class Together:
    """Adds up what two threads bring, as two processes would."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=60)
        self.brought: dict[int, Tensor] = {}

    def add_up(self, tensor: Tensor) -> Tensor:
        self.brought[threading.get_ident()] = tensor.clone()
        self.barrier.wait()
        total = torch.stack(list(self.brought.values())).sum(0)
        self.barrier.wait()
        return tensor.copy_(total)


def test_two_parts_have_the_gradients_of_the_whole_batch() -> None:
    """Unequal parts of a batch through a U-Net: each one's loss weighs as much as the part."""
    x, target = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = UNet(channels=2, depth=5, dropout=False)
    init_weights(whole, gain=0.2)
    copies = [copy.deepcopy(whole) for _ in range(2)]
    (whole(x) - target).square().mean().backward()
    together = Together()

    def part(network: UNet, rows: slice) -> None:
        for module in network.modules():
            if isinstance(module, BatchNorm2d):
                module.shared = SharedStatistics(together.add_up)
        loss = (network(x[rows]) - target[rows]).square().mean()
        (loss * len(x[rows]) / 3).backward()

    threads = [
        threading.Thread(target=part, args=(network, rows))
        for network, rows in zip(copies, (slice(0, 2), slice(2, 3)), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, parameter in whole.named_parameters():
        one, other = (dict(network.named_parameters())[name].grad for network in copies)
        assert one is not None and other is not None
        torch.testing.assert_close(one + other, parameter.grad, rtol=1e-3, atol=1e-6)
    for key, value in whole.state_dict().items():
        if "running" in key or "tracked" in key:
            for network in copies:
                torch.testing.assert_close(network.state_dict()[key], value, rtol=1e-4, atol=1e-6)


def test_a_stand_in_does_not_count_and_keeps_no_statistics_of_its_own() -> None:
    norm, x = BatchNorm2d(1, affine=False), torch.full((1, 1, 1, 2), 7.0)
    answers = [torch.tensor([12.0, 4.0]), torch.tensor([16.0])]
    norm.shared = SharedStatistics(lambda tensor: tensor + answers.pop(0), counts=False)
    # The others' four values have mean 3 and variance 4.
    assert norm(x).flatten().tolist() == pytest.approx([2.0, 2.0], abs=1e-4)


def test_outside_training_nobody_else_is_asked() -> None:
    def refuse(tensor: Tensor) -> Tensor:
        raise AssertionError

    norm = BatchNorm2d(2).eval()
    norm.shared = SharedStatistics(refuse)
    assert norm(features()).isfinite().all()
    assert list(norm.state_dict()) == list(BatchNorm2d(2).state_dict())


def test_a_compiled_network_waits_for_other_processes_outside_its_graphs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SharedStatistics, "normalize", SharedStatistics.normalize)
    waited: list[bool] = []
    graphs: list[torch.fx.GraphModule] = []

    def add_up(tensor: Tensor) -> Tensor:
        waited.append(torch.compiler.is_compiling())
        return tensor

    def keep(graph: torch.fx.GraphModule, examples: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    norm = BatchNorm2d(2)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), norm, torch.nn.Conv2d(2, 2, 1))
    norm.shared = SharedStatistics(add_up)
    with torch.no_grad():
        expected = network(features())
        torch.compiler.reset()
        SharedStatistics.keep_out_of_graphs()
        network.compile(backend=keep)
        torch.testing.assert_close(network(features()), expected)
    assert waited == [False] * 4
    called = {str(node.target) for graph in graphs for node in graph.graph.nodes}
    assert not any("var_mean" in name for name in called)
