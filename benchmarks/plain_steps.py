"""Training steps in the published codes' order of operations: eager, torch's own Adam, nothing saved.

Each function makes a step that returns the whole losses of both sides. Where the published code lets G's
backward pass fill gradients of D that it then drops (pix2pixHD, SPADE), so does this.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.tasks import Batch

Step = Callable[[], dict[str, Tensor]]
Maps = list[list[Tensor]]

VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def pix2pixhd(batch: Batch, networks: Sequence[nn.Module]) -> Step:
    """D sees the fake detached, the real one and the fake; both losses are there before either update."""
    generator, discriminator, vgg = networks
    optimizer_g, optimizer_d = adam(generator), adam(discriminator)
    labels, real = batch.input, batch.target

    def judged(image: Tensor) -> Maps:
        maps: Maps = discriminator(torch.cat([labels, image], 1))
        return maps

    def step() -> dict[str, Tensor]:
        fake = generator(labels)
        of_detached, of_real, of_fake = judged(fake.detach()), judged(real), judged(fake)
        loss_d = (squares(of_detached, 0.0) + squares(of_real, 1.0)) * 0.5
        loss_g = squares(of_fake, 1.0) + matching(of_fake, of_real) * 10 + vgg_loss(vgg, fake, real) * 10
        update(optimizer_g, loss_g)
        update(optimizer_d, loss_d)
        return {"generator": loss_g.detach(), "discriminator": loss_d.detach()}

    return step


def cyclegan(batch: Batch, networks: Sequence[nn.Module]) -> Step:
    """Both generators with D frozen, then D_A and D_B on pooled fakes."""
    g_a, g_b, d_a, d_b = networks
    optimizer_g, optimizer_d = adam(g_a, g_b), adam(d_a, d_b)
    real_a, real_b = batch.input, batch.target
    pool_a, pool_b = Pool(), Pool()

    def of_discriminator(network: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        loss: Tensor = (F.mse_loss(*to(network(real), 1.0)) + F.mse_loss(*to(network(fake), 0.0))) * 0.5
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def step() -> dict[str, Tensor]:
        fake_b = g_a(real_a)
        back_a = g_b(fake_b)
        fake_a = g_b(real_b)
        back_b = g_a(fake_a)
        with frozen(d_a, d_b):
            same = (F.l1_loss(g_a(real_b), real_b) + F.l1_loss(g_b(real_a), real_a)) * 5
            gan = F.mse_loss(*to(d_a(fake_b), 1.0)) + F.mse_loss(*to(d_b(fake_a), 1.0))
            loss_g = same + gan + (F.l1_loss(back_a, real_a) + F.l1_loss(back_b, real_b)) * 10
            update(optimizer_g, loss_g)
        optimizer_d.zero_grad()
        loss_d = of_discriminator(d_a, real_b, pool_b.query(fake_b.detach()))
        loss_d += of_discriminator(d_b, real_a, pool_a.query(fake_a.detach()))
        optimizer_d.step()
        return {"generator": loss_g.detach(), "discriminator": loss_d}

    return step


def spade(batch: Batch, networks: Sequence[nn.Module]) -> Step:
    """G's pass and update, then a second pass of G for D; D always sees fake and real as one batch."""
    generator, discriminator, vgg = networks
    optimizer_g = adam(generator, rate=1e-4, betas=(0.0, 0.9))
    optimizer_d = adam(discriminator, rate=4e-4, betas=(0.0, 0.9))
    labels, real = batch.input, batch.target

    def judged(fake: Tensor) -> tuple[Maps, Maps]:
        both = torch.cat([torch.cat([labels, fake], 1), torch.cat([labels, real], 1)])
        maps, count = discriminator(both), fake.shape[0]
        return [[m[:count] for m in scale] for scale in maps], [[m[count:] for m in scale] for scale in maps]

    def step() -> dict[str, Tensor]:
        fake = generator(labels)
        of_fake, of_real = judged(fake)
        gan = torch.stack([-maps[-1].mean() for maps in of_fake]).mean()
        loss_g = gan + matching(of_fake, of_real) * 10 + vgg_loss(vgg, fake, real) * 10
        update(optimizer_g, loss_g)
        with torch.no_grad():
            again = generator(labels)
        of_fake, of_real = judged(again)
        pairs = zip(of_fake, of_real, strict=True)
        terms = [F.relu(1 + f[-1]).mean() + F.relu(1 - r[-1]).mean() for f, r in pairs]
        loss_d = torch.stack(terms).mean()
        update(optimizer_d, loss_d)
        return {"generator": loss_g.detach(), "discriminator": loss_d.detach()}

    return step


def srresnet(batch: Batch, networks: Sequence[nn.Module]) -> Step:
    """Mean squared error, no discriminator."""
    (generator,) = networks
    optimizer = adam(generator, rate=1e-4, betas=(0.9, 0.999))

    def step() -> dict[str, Tensor]:
        loss = F.mse_loss(generator(batch.input), batch.target)
        update(optimizer, loss)
        return {"generator": loss.detach()}

    return step


def srgan(batch: Batch, networks: Sequence[nn.Module]) -> Step:
    """D on fake and real, then G through the updated D, with VGG19's relu5_4 in ImageNet's range."""
    generator, discriminator, vgg = networks
    optimizer_g = adam(generator, rate=1e-4, betas=(0.9, 0.999))
    optimizer_d = adam(discriminator, rate=1e-4, betas=(0.9, 0.999))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def features(image: Tensor) -> Tensor:
        scaled = ((image + 1) / 2 - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
        found: Tensor = vgg(scaled)[0] / 12.75
        return found

    def content(fake: Tensor) -> Tensor:
        return F.mse_loss(features(fake), features(batch.target).detach())

    optimizers = (optimizer_g, optimizer_d)
    return adversarial(batch, (generator, discriminator), optimizers=optimizers, content=content, weight=1e-3)


def inpainting(batch: Batch, networks: Sequence[nn.Module]) -> Step:
    """As pix2pix: D, then G; a global and a patch verdict, summed."""

    def content(fake: Tensor) -> Tensor:
        return F.l1_loss(fake, batch.target) * 0.995

    optimizers = (adam(networks[0]), adam(networks[1]))
    return adversarial(batch, networks, optimizers=optimizers, content=content, weight=0.0025)


def adversarial(
    batch: Batch,
    networks: Sequence[nn.Module],
    *,
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    content: Callable[[Tensor], Tensor],
    weight: float,
) -> Step:
    """pix2pix's order with cross entropy: D on the detached fake and on the real one, G with D frozen."""
    generator, discriminator = networks
    optimizer_g, optimizer_d = optimizers

    def judged(image: Tensor, is_real: float) -> Tensor:
        verdicts = discriminator(image)
        logits = [verdicts] if isinstance(verdicts, Tensor) else [maps[-1] for maps in verdicts]
        return torch.stack([F.binary_cross_entropy_with_logits(*to(one, is_real)) for one in logits]).sum()

    def step() -> dict[str, Tensor]:
        fake = generator(batch.input)
        loss_d = (judged(fake.detach(), 0.0) + judged(batch.target, 1.0)) * 0.5
        update(optimizer_d, loss_d)
        with frozen(discriminator):
            loss_g = judged(fake, 1.0) * weight + content(fake)
            update(optimizer_g, loss_g)
        return {"generator": loss_g.detach(), "discriminator": loss_d.detach()}

    return step


class Pool:
    """CycleGAN's 50 earlier fakes."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def query(self, images: Tensor) -> Tensor:
        shown = []
        for image in images:
            if len(self.images) < 50:
                self.images.append(image)
                shown.append(image)
            elif random.random() > 0.5:
                place = random.randrange(50)
                shown.append(self.images[place])
                self.images[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)


def adam(
    *networks: nn.Module, rate: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999)
) -> torch.optim.Adam:
    return torch.optim.Adam(itertools.chain(*(n.parameters() for n in networks)), lr=rate, betas=betas)


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    for network in networks:
        network.requires_grad_(False)
    yield
    for network in networks:
        network.requires_grad_(True)


def to(logits: Tensor, value: float) -> tuple[Tensor, Tensor]:
    return logits, torch.full_like(logits, value)


def squares(verdict: Maps, value: float) -> Tensor:
    return torch.stack([F.mse_loss(*to(maps[-1], value)) for maps in verdict]).sum()


def matching(of_fake: Maps, of_real: Maps) -> Tensor:
    """Both codes' weights come to the same at four maps and two scales."""
    terms = [
        F.l1_loss(f, r.detach())
        for scale_f, scale_r in zip(of_fake, of_real, strict=True)
        for f, r in zip(scale_f[:-1], scale_r[:-1], strict=True)
    ]
    return torch.stack(terms).sum() / len(of_fake)


def vgg_loss(vgg: nn.Module, fake: Tensor, real: Tensor) -> Tensor:
    pairs = zip(VGG_WEIGHTS, vgg(fake), vgg(real), strict=True)
    return torch.stack([weight * F.l1_loss(f, r.detach()) for weight, f, r in pairs]).sum()
