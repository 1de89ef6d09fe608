"""Which terms, networks and sizes go together: what cannot work is refused before the first step."""

from __future__ import annotations

from p2pcli.errors import RecipeError
from p2pcli.nets import Network
from p2pcli.recipe import SPADE, Recipe, SRResNet, StyleEncoder
from p2pcli.tasks.paired import PAIRED_TERMS
from p2pcli.tasks.unpaired import UNPAIRED_TERMS

TEACHING = {
    "paired": frozenset(PAIRED_TERMS - {"r1", "gradient_penalty", "tv", "kld"}),
    "unpaired": frozenset({"gan", "cycle", "cycle_b"}),
}
"""Terms that a generator can learn from alone."""

NEED_GAN = ("feature_matching", "r1", "gradient_penalty")


def require_usable(recipe: Recipe) -> None:
    """Raise `RecipeError` with the remedy where terms, task and networks of `recipe` do not go together."""
    weights = {name: weight for name, weight in recipe.losses.weights().items() if weight}
    _require_terms(recipe, weights)
    _require_objective(recipe, weights)
    _require_encoder(recipe, weights)
    if recipe.task == "unpaired":
        _require_symmetry(recipe, weights)
    elif recipe.discriminator.conditional and isinstance(recipe.generator, SRResNet):
        raise RecipeError(
            "discriminator.conditional: the target is larger than the input, so that D cannot be shown both. "
            "Set discriminator.conditional=false."
        )


def require_size(section: str, network: Network, size_px: int, *, of: str = "data.size") -> None:
    """Raise `RecipeError` where `network`, named `section` in the recipe, cannot take `size_px` squares.

    `of` is where that size comes from.
    """
    needs = network.size_needs
    if needs.exact not in (None, (size_px, size_px)):
        raise RecipeError(
            f"data.size {size_px} does not suit the {section}, whose style_grid makes pictures of "
            f"{needs.exact} px (height, width) alone; training takes squares. Change data.size or "
            f"generator.style_grid."
        )
    if size_px % needs.multiple_of or size_px < needs.minimum:
        raise RecipeError(
            f"{of} {size_px} does not suit the {section}, which needs a multiple of {needs.multiple_of} "
            f"from {needs.minimum} px on. Change data.size, or the {section}'s settings."
        )


def used_weights(recipe: Recipe) -> dict[str, float]:
    """The weights that the recipe's task knows; those of the other task are 0 by then."""
    known = PAIRED_TERMS if recipe.task == "paired" else UNPAIRED_TERMS
    return {name: weight for name, weight in recipe.losses.weights().items() if name in known}


def _require_terms(recipe: Recipe, weights: dict[str, float]) -> None:
    task = recipe.task
    known, reason = (
        (PAIRED_TERMS, 'it goes from A to B and back, which takes two generators. Set task="unpaired"')
        if task == "paired"
        else (UNPAIRED_TERMS, 'it compares with a target, which unpaired data lack. Set task="paired"')
    )
    for name, weight in weights.items():
        if name not in known:
            raise RecipeError(
                f"losses.{name} is {weight:g}, and task {task} cannot use it: {reason}, or losses.{name}=0."
            )
    if not set(weights) & TEACHING[task]:
        example = "losses.l1=100" if task == "paired" else "losses.cycle=10"
        raise RecipeError(f"losses: every weight is 0, so there is nothing to learn. Set {example}.")
    for name in NEED_GAN:
        if name in weights and "gan" not in weights:
            raise RecipeError(
                f"losses.{name} is {weights[name]:g} while losses.gan is 0: without an adversarial term no "
                f"discriminator is trained. Set losses.gan=1, or losses.{name}=0."
            )
    if "feature_matching" in weights and not _has_maps(recipe):
        raise RecipeError(
            f"losses.feature_matching is {weights['feature_matching']:g}, and discriminator "
            f"{recipe.discriminator.name} gives no feature maps. Set discriminator.name=multiscale (with "
            f"features), or losses.feature_matching=0."
        )
    if "perceptual" in weights and recipe.data.target_planes not in (1, 3):
        raise RecipeError(
            f"losses.perceptual looks at pictures, and data.target_channels is "
            f"{recipe.data.target_channels}. Set losses.perceptual=0."
        )


def _has_maps(recipe: Recipe) -> bool:
    section = recipe.discriminator
    return section.name == "spade_multiscale" or (section.name == "multiscale" and section.features)


def _require_objective(recipe: Recipe, weights: dict[str, float]) -> None:
    section = recipe.discriminator
    if section.objective == "wgan" and "gan" in weights and not {"gradient_penalty", "r1"} & set(weights):
        raise RecipeError(
            "discriminator.objective wgan has no bound of its own: D's loss would fall without end. Set "
            "losses.gradient_penalty=10, or another objective."
        )
    if "gradient_penalty" in weights and getattr(section, "norm", "") == "batch":
        raise RecipeError(
            "losses.gradient_penalty is taken for each picture alone, which batch norm mixes (1704.00028, "
            "section 4). Set discriminator.norm=instance."
        )


def _require_encoder(recipe: Recipe, weights: dict[str, float]) -> None:
    encoder = recipe.encoder
    if "kld" in weights and not isinstance(encoder, StyleEncoder):
        raise RecipeError(
            f"losses.kld is {weights['kld']:g}, and there is no style encoder whose z it could bind. Set "
            f"encoder.name=spade_style (with generator.name=spade), or losses.kld=0."
        )
    if isinstance(encoder, StyleEncoder) and not isinstance(recipe.generator, SPADE):
        raise RecipeError(
            f"encoder spade_style: generator {recipe.generator.name} takes no style vector. Set "
            f"generator.name=spade, or leave [encoder] out."
        )
    if encoder is not None and recipe.task == "unpaired":
        raise RecipeError(
            f"encoder {encoder.name} reads the target, which unpaired data lack. Leave [encoder] out."
        )


def _require_symmetry(recipe: Recipe, weights: dict[str, float]) -> None:
    """Both directions train at once, so each network must suit both domains."""
    data = recipe.data
    if recipe.discriminator.conditional:
        raise RecipeError(
            "discriminator.conditional: unpaired data have no input that belongs to a target. Set "
            "discriminator.conditional=false."
        )
    if data.direction != "AtoB":
        raise RecipeError("data.direction: unpaired training learns both directions. Leave it at AtoB.")
    if "identity" in weights and data.input_channels != data.target_channels:
        raise RecipeError(
            f"losses.identity gives a generator pictures of its output's domain, and the domains have "
            f"{data.input_channels} and {data.target_channels} channels. Set losses.identity=0."
        )
    if recipe.train.best_metric != "cycle":
        raise RecipeError(
            f"train.best_metric {recipe.train.best_metric} compares with a target, which unpaired data lack. "
            f"Set train.best_metric=cycle."
        )
