"""Options of the commands that train: the images."""

import click

training_data = click.option(
    "--data", help="Images to divide, instead of the recipe's: a name or a path."
)
training_test_data = click.option("--test-data", help="Separate test images: a path.")
