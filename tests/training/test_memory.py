"""The memory of a step: what is counted, and what is said where it is too much."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pcli.errors import EnvironmentFaultError
from p2pcli.free_memory import Room
from p2pcli.jobs import train_words
from p2pcli.recipe import load_recipe
from p2pcli.tasks import Batch
from p2pcli.training import memory
from p2pcli.training.memory import Needs, bytes_text, kept_bytes, measure_needs, room_on, what_fits
from p2pcli.training.state import TrainState, new_state

MB = 1_000_000


def run_of(tiny: list[str], *more: str) -> TrainState:
    return new_state(load_recipe("pix2pix", [*tiny, *more]), torch.device("cpu"))


def test_autograd_keeps_the_input_of_a_convolution_and_the_result_of_a_relu() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    own = {p.untyped_storage().data_ptr() for p in layers.parameters()}
    x = torch.randn(1, 3, 8, 8)
    _, kept = kept_bytes(lambda: layers(x), own)
    # The second convolution keeps what the ReLU keeps already.
    assert kept == (3 + 4) * 8 * 8 * 4


def test_weights_count_four_times_and_averages_once(tiny: list[str]) -> None:
    run, averaged = run_of(tiny), run_of(tiny, "train.ema=0.9")
    sides = [*run.task.generators.values(), *run.task.discriminators.values()]
    weights = sum(p.numel() for network in sides for p in network.parameters())
    fixed = measure_needs(run).fixed
    assert 16 * weights <= fixed < 17 * weights
    states = run.task.generators["generator"].state_dict().values()
    assert measure_needs(averaged).fixed - fixed == sum(value.nbytes for value in states)


def test_a_discriminator_that_never_learns_counts_once(tiny: list[str]) -> None:
    fixed, alone = (measure_needs(run_of(tiny, *more)).fixed for more in ([], ["losses.gan=0"]))
    judge = run_of(tiny).task.discriminators["discriminator"]
    assert fixed - alone >= 3 * sum(p.nbytes for p in judge.parameters())


def test_what_is_frozen_at_first_counts_as_once_it_learns() -> None:
    small = ["variant=cpu", "data.size=32", "data.load_size=none", "train.precision=float32"]
    frozen, free = (
        new_state(load_recipe("pix2pixhd-1024", [*small, more]), torch.device("cpu"))
        for more in ("train.freeze_global_epochs=2", "train.freeze_global_epochs=0")
    )
    before = [p.requires_grad for p in frozen.task.generators["generator"].parameters()]
    assert measure_needs(frozen) == measure_needs(free)
    assert [p.requires_grad for p in frozen.task.generators["generator"].parameters()] == before


def test_samples_need_four_times_as_much_at_twice_the_side(tiny: list[str]) -> None:
    small, large = (
        run_of([*tiny, f"data.size={side}", "data.load_size=none", "generator.depth=5"]) for side in (32, 64)
    )
    ratio = measure_needs(large).sample / measure_needs(small).sample
    assert ratio == pytest.approx(4.0, rel=0.05)


def test_where_two_samples_do_not_fit_one_is_counted_whole(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, both = memory.random_batch, measure_needs(run_of(tiny))

    def small(run: TrainState, *, samples: int) -> Batch:
        if samples > 1:
            raise torch.OutOfMemoryError("out of memory")
        return real(run, samples=samples)

    monkeypatch.setattr(memory, "random_batch", small)
    alone = measure_needs(run_of(tiny))
    assert alone.fixed + alone.sample == both.fixed + both.sample


def test_measuring_changes_nothing_in_the_run(tiny: list[str]) -> None:
    run = run_of(tiny)
    before = {key: value.clone() for key, value in run.task.generators["generator"].state_dict().items()}
    noise = torch.get_rng_state()
    measure_needs(run)
    after = run.task.generators["generator"].state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(noise, torch.get_rng_state())


def test_accumulation_and_processes_divide_the_batch(tiny: list[str]) -> None:
    run = run_of(tiny, "train.batch_size=8", "train.accumulate=2")
    assert measure_needs(run).samples == 4
    assert measure_needs(run, processes=2).samples == 2


def test_what_fits_is_a_key_with_its_value(tiny: list[str]) -> None:
    recipe = load_recipe("pix2pix", ["train.batch_size=16"])
    needs = Needs(fixed=100 * MB, sample=50 * MB, samples=16)
    assert what_fits(recipe, needs, Room(700 * MB, 900 * MB)).startswith(
        "5 of 16 samples fit at once: set train.accumulate=4 (the same update in parts) or train.batch_size=5"
    )
    alone = Needs(fixed=100 * MB, sample=400 * MB, samples=1)
    assert what_fits(recipe, alone, Room(400 * MB, 900 * MB)) == "One sample fits at data.size=128."
    assert "networks alone are too large" in what_fits(recipe, alone, Room(90 * MB, 900 * MB))


def test_what_no_memory_of_the_device_holds_is_refused(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tiny)
    monkeypatch.setattr(train_words, "room_on", lambda device: Room(1000, 2000))
    with pytest.raises(
        EnvironmentFaultError, match=r"a step needs about .* MB of memory, and CPU.* has 1 MB\."
    ):
        train_words.memory_words(run)


def test_what_the_free_memory_does_not_hold_is_warned_of(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tiny)
    monkeypatch.setattr(train_words, "room_on", lambda device: Room(1000, 10**12))
    (note,) = train_words.memory_words(run)
    assert note.level == "warning" and "free. The networks alone" in note.text


def test_the_cpu_has_room() -> None:
    room = room_on(torch.device("cpu"))
    assert room is None or 0 < room.free <= room.total
    assert bytes_text(3.21e9) == "3.2 GB"
