"""The recipe of the commands that train."""

from models.training.recipe import Recipe, override, read_recipe


def chosen_recipe(
    name: str, data: str | None, test_data: str | None, **optimisation: int | None
) -> Recipe:
    """Read the recipe, a shipped name or a TOML file, and override what is given.

    Raises DataError.
    """
    return override(
        read_recipe(name),
        data={"source": data, "test_source": test_data},
        optimisation=optimisation,
    )
