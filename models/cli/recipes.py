"""What the commands that train share: which recipe, on which images."""

import click

from models.training.recipe import Recipe, override, read_recipe

training_data = click.option(
    "--data", help="Images to divide, instead of the recipe's: a name or a path."
)
training_test_data = click.option("--test-data", help="Separate test images: a path.")


def chosen_recipe(
    name: str, data: str | None, test_data: str | None, **optimisation: int | None
) -> Recipe:
    """The recipe, a shipped name or a TOML file, with what was given in place of its own.

    Raises DataError.
    """
    return override(
        read_recipe(name),
        data={"source": data, "test_source": test_data},
        optimisation=optimisation,
    )
