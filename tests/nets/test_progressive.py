"""Networks that grow: every level works by itself, what is new fades in, keys never change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets import init_weights
from p2pcli.nets.growth import Growth, grow
from p2pcli.nets.progressive import ProgressiveGenerator
from p2pcli.nets.progressive_discriminator import ProgressiveDiscriminator

LODS = (2.0, 1.75, 1.0, 0.25, 0.0)


def generator() -> ProgressiveGenerator:
    network = ProgressiveGenerator(channels=2, depth=3, growths=2)
    init_weights(network, gain=0.3)
    return network


def discriminator(channels: int = 2) -> ProgressiveDiscriminator:
    network = ProgressiveDiscriminator(input_channels=3, channels=channels, layers=2, growths=2)
    init_weights(network, gain=0.3)
    return network


def picture(side: int) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("lod", LODS)
def test_a_generator_keeps_the_size_of_its_level(lod: float) -> None:
    network = generator()
    network.growth.set(lod)
    side = 32 >> int(lod)
    result = network(picture(side))
    assert result.shape == (2, 3, side, side)
    assert 0 < result.abs().max() <= 1


@pytest.mark.parametrize("lod", LODS)
def test_every_resolution_gives_as_many_logits(lod: float) -> None:
    network = discriminator()
    network.growth.set(lod)
    assert network(picture(32 >> int(lod))).shape == (2, 1, 7, 7)


@pytest.mark.parametrize("make", [generator, discriminator])
def test_while_they_grow_gradients_reach_every_parameter(make: type[nn.Module]) -> None:
    network, reached = make(), set()
    for lod in (1.5, 0.5):
        grow([network], lod)
        network.zero_grad()
        result = network(picture(32 >> int(lod)))
        (result * torch.rand_like(result)).sum().backward()
        found = network.named_parameters()
        reached |= {name for name, p in found if p.grad is not None and p.grad.abs().max() > 0}
    assert reached == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(("make", "is_picture"), [(generator, True), (discriminator, False)])
def test_a_new_level_begins_as_the_one_before(make: type[nn.Module], is_picture: bool) -> None:
    network, x = make().eval(), picture(32)
    with torch.no_grad():
        grow([network], 1.0)
        before = network(F.avg_pool2d(x, 2))
        grow([network], 1 - 1e-6)
        found = network(x)
        grow([network], 0.0)
        whole = network(x)
    expected = F.interpolate(before, scale_factor=2) if is_picture else before
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(whole, expected, atol=1e-2)


def test_the_state_carries_the_level_and_its_keys_never_change() -> None:
    half, whole = generator(), generator()
    half.growth.set(1.75)
    assert half.state_dict().keys() == whole.state_dict().keys()
    whole.load_state_dict(half.state_dict())
    assert (whole.growth.level, whole.growth.is_fading) == (1, True)
    x = picture(16)
    assert torch.equal(whole(x), half(x))


def test_a_level_that_a_network_lacks_is_refused() -> None:
    growth = Growth(2)
    with pytest.raises(ValueError, match=r"from 0 to 2 here, not 2\.5"):
        growth.set(2.5)
    with pytest.raises(RuntimeError, match=r"growth\.lod: .* not nan"):
        growth.load_state_dict({"lod": torch.tensor(torch.nan)})


def test_more_growths_than_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="room for 2 growths, not 3"):
        ProgressiveGenerator(channels=2, depth=3, growths=3)
    with pytest.raises(ValueError, match="room for 2 growths, not 3"):
        ProgressiveDiscriminator(channels=2, layers=2, growths=3)


def test_one_logit_judges_76_px() -> None:
    network = ProgressiveDiscriminator(input_channels=1, channels=1, norm="none").eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1.0)
    x = torch.zeros(1, 1, 256, 256, requires_grad=True)
    network(x)[0, 0, 15, 15].backward()
    assert x.grad is not None
    seen = x.grad[0, 0].nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [76, 76]


def test_compiled_networks_are_not_compiled_anew_for_every_share() -> None:
    seen: list[int] = []

    def count(graph: torch.fx.GraphModule, examples: list[Tensor]) -> torch.fx.GraphModule:
        seen.append(len(examples))
        return graph

    network, x = generator(), picture(16)
    torch.compiler.reset()
    network.compile(backend=count, fullgraph=True)
    results = []
    for lod in (1.75, 1.5, 1.25):
        network.growth.set(lod)
        results.append(network(x).detach())
    assert len(seen) == 1
    assert torch.equal(results[2], network.forward(x))
    assert not torch.equal(results[1], results[2])
