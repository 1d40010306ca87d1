"""The arms of an ablation: recipes that differ in the noise schedule, the latent and the loss."""

from collections.abc import Collection
from typing import Any

from models.training.recipe import Recipe, override

BASELINE = "fixed"
ARMS = (BASELINE, "multivariate", "learned", "recipe")
PAPER: dict[str, Any] = {
    "information_price": 1.0,
    "aggregate_price": 1.0,
    "encoder_head_start": 0,
    "coarse_weight": 0.0,
    "noisy_share": 0.0,
}
NO_LATENT = {"latent_size": 0, "latent_k": 0}
ONE_LATENT = {"latent_size": 1, "latent_k": 1}


def arms(recipe: Recipe, names: Collection[str] = ARMS) -> dict[str, Recipe]:
    """Return the recipes to compare, by name: those of `names`, and always the baseline.

    The baseline `fixed` has a linear gamma and no latent (VDM). `multivariate` learns gamma for
    each pixel and channel, the same for all images; `learned` learns it with the recipe's latent.
    These three have the paper's loss. `recipe` is the recipe itself; it is left out where its loss
    is the paper's, since it is `learned` then.
    """
    learned = override(recipe, optimisation=PAPER)
    found = {
        BASELINE: override(learned, model=NO_LATENT),
        "multivariate": override(learned, model=ONE_LATENT),
        "learned": learned,
    }
    if learned != recipe:
        found["recipe"] = recipe
    return {name: arm for name, arm in found.items() if name in names or name == BASELINE}
