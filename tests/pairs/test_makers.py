"""Every maker, by the rules that hold for all of them; options checked and drawn."""

from __future__ import annotations

import numpy as np
import pytest

from p2pcli.errors import UsageError
from p2pcli.pairs import MAKERS, Maker, draw_options, maker_named
from p2pcli.pairs.maker import Between


@pytest.fixture
def photo() -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, axis=0).repeat(8, axis=1))


def defaults(maker: Maker, **given: object):
    return draw_options(maker, given, np.random.default_rng(0), jitter=False)


@pytest.mark.parametrize("name", MAKERS)
def test_a_maker_is_listed_under_its_own_name(name):
    assert MAKERS[name].name == name


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_defaults_give_an_input_of_the_targets_size(maker, photo):
    made = maker.make(photo, rng=np.random.default_rng(0), options=defaults(maker))
    assert made.dtype == np.uint8
    assert made.shape[:2] == photo.shape[:2]
    assert made.shape[2] in (1, 3, 4)


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_the_target_is_left_as_it_was(maker, photo):
    before = photo.copy()
    maker.make(photo, rng=np.random.default_rng(0), options=defaults(maker))
    assert np.array_equal(photo, before)


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (3, 5)])
def test_tiny_targets_are_no_problem(maker, size):
    target = np.full((*size, 3), 90, dtype=np.uint8)
    made = maker.make(target, rng=np.random.default_rng(0), options=defaults(maker))
    assert made.shape[:2] == size


@pytest.mark.parametrize(
    "maker", [one for one in MAKERS.values() if not one.is_random], ids=lambda one: one.name
)
def test_a_maker_that_is_not_random_leaves_its_generator_alone(maker, photo):
    for options in (defaults(maker), draw_options(maker, {}, np.random.default_rng(1), jitter=True)):
        rng = np.random.default_rng(0)
        maker.make(photo, rng=rng, options=options)
        assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_every_jittered_option_exists_and_its_extremes_are_valid(maker):
    for name, values in maker.jitter.items():
        extremes = (values.low, values.high) if isinstance(values, Between) else values
        for value in extremes:
            assert getattr(defaults(maker, **{name: value}), name) == value


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_jitter_draws_other_options_for_another_generator_and_the_same_for_the_same(maker):
    drawn = [draw_options(maker, {}, np.random.default_rng(seed), jitter=True) for seed in (*range(8), 0)]
    assert drawn[0] == drawn[-1]
    assert len({options.model_dump_json() for options in drawn}) > 1


def test_a_given_option_is_kept_and_does_not_change_what_the_others_become():
    free = draw_options(MAKERS["edges"], {}, np.random.default_rng(3), jitter=True)
    bound = draw_options(MAKERS["edges"], {"sigma": 1.5}, np.random.default_rng(3), jitter=True)
    assert bound.sigma == 1.5
    assert bound.detail == free.detail


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError) as caught:
        defaults(MAKERS["gray"], metod="bt709")
    assert str(caught.value) == ("gray has no option 'metod'. It has: gamma, method. Did you mean 'method'?")


@pytest.mark.parametrize(
    ("maker", "given", "message"),
    [
        ("edges", {"detail": 2.0}, "edges: detail: Input should be less than 1 (found 2.0)."),
        ("downsample", {"factor": 5}, "downsample: factor: Input should be 2, 3, 4 or 8 (found 5)."),
        ("edges", {"low": 9.0, "high": 3.0}, "edges: low 9 is above high 3; swap them."),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(maker, given, message):
    with pytest.raises(UsageError) as caught:
        defaults(MAKERS[maker], **given)
    assert str(caught.value) == message


def test_an_unknown_maker_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"no pair maker 'egdes'\. Did you mean 'edges'\?"):
        maker_named("egdes")
