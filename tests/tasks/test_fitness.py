"""Terms, networks and sizes that do not go together are refused, with the way out."""

from __future__ import annotations

from typing import Any

import pytest

from p2pcli.errors import RecipeError
from p2pcli.recipe import parse_recipe, set_value
from p2pcli.tasks import build_task
from p2pcli.tasks.fitness import require_usable

REFUSED = [
    (["losses.cycle=10.0"], 'losses.cycle is 10, and task paired .*Set task="unpaired", or losses.cycle=0.'),
    (["losses.identity=5.0"], "losses.identity is 5, and task paired cannot use it"),
    (
        ["task=unpaired", "losses.l1=100.0"],
        'losses.l1 is 100, and task unpaired .*Set task="paired", or losses.l1=0.',
    ),
    (["task=unpaired", "losses.perceptual=1.0"], "losses.perceptual is 1, and task unpaired"),
    (["losses.kld=0.05"], "losses.kld is 0.05, and there is no style encoder .*Set encoder.name=spade_style"),
    (
        ["losses.feature_matching=10.0"],
        "discriminator patchgan gives no feature maps. Set discriminator.name=multi",
    ),
    (
        ["losses.feature_matching=10.0", "discriminator.name=multiscale", "discriminator.features=false"],
        "discriminator multiscale gives no feature maps",
    ),
    (["losses.gan=0.0", "losses.r1=1.0"], "losses.r1 is 1 while losses.gan is 0.*Set losses.gan=1"),
    (
        ["losses.gan=0.0", "losses.l1=0.0"],
        "every weight is 0, so there is nothing to learn. Set losses.l1=100.",
    ),
    (["losses.gan=0.0", "losses.l1=0.0", "losses.tv=1.0"], "nothing to learn"),
    (["discriminator.objective=wgan"], "wgan has no bound of its own.*Set losses.gradient_penalty=10"),
    (["losses.gradient_penalty=10.0"], "which batch norm mixes .*Set discriminator.norm=instance."),
    (["encoder.name=spade_style"], "generator unet takes no style vector. Set generator.name=spade"),
    (
        ["task=unpaired", "generator.name=spade", "encoder.name=spade_style"],
        "encoder spade_style reads the target",
    ),
    (["task=unpaired", "discriminator.conditional=true"], "Set discriminator.conditional=false"),
    (["task=unpaired", "data.direction=BtoA"], "unpaired training learns both directions"),
    (["task=unpaired", "data.input_channels=1"], "the domains have 1 and 3 channels. Set losses.identity=0."),
    (["task=unpaired", "train.best_metric=ssim"], "Set train.best_metric=cycle."),
    (
        ["generator.name=srresnet", "data.scale=4"],
        "D cannot be shown both. Set discriminator.conditional=false.",
    ),
]


@pytest.mark.parametrize(
    ("overrides", "message"), REFUSED, ids=lambda value: value[-1] if isinstance(value, list) else ""
)
def test_what_cannot_work_is_refused_with_the_remedy(overrides: list[str], message: str) -> None:
    values: dict[str, Any] = {}
    for override in overrides:
        set_value(values, override)
    with pytest.raises(RecipeError, match=message):
        require_usable(parse_recipe(values, where="test"))


def test_building_a_task_asks_first() -> None:
    with pytest.raises(RecipeError, match="task paired cannot use it"):
        build_task(parse_recipe({"losses": {"cycle": 10.0}}, where="test"))
