"""Recipes: the shipped one, and what is refused in a line that names it."""

import os

import pytest
import torch
from tiny_recipe import TINY

from models.network.mulan import Mulan
from models.schema.errors import DataError
from models.training.recipe import RECIPES, parse_recipe, read_recipe


@pytest.mark.parametrize("name", [path.stem for path in RECIPES.glob("*.toml")])
def test_shipped_recipes_are_sound(name):
    recipe = read_recipe(name)
    assert recipe.name == name.removesuffix("-gpu")
    assert recipe.data.licence
    bound = 0.05 * recipe.model.dimensions * 0.6931471805599453
    assert recipe.model.log_latents <= bound, "naming the latent costs more than a twentieth bit"
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in Mulan(recipe.model).parameters())
    most = 20_000_000 if name == "emoji" else 16_000_000
    assert 4 * parameters < most, "a shipped checkpoint is small"


def test_by_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((RECIPES / "digits.toml").read_text())
    assert read_recipe(str(path)) == read_recipe("digits")


def test_a_rate_of_the_schedule_is_recorded_where_it_is_given():
    """Records from before there was one stay equal, so that their runs can be prolonged."""
    recipe = parse_recipe(TINY, "tiny")
    assert "schedule_rate" not in recipe.record()["optimisation"]
    faster = parse_recipe(TINY | {"optimisation": TINY["optimisation"] | {"schedule_rate": 10}}, "")
    assert faster.record()["optimisation"]["schedule_rate"] == 10
    assert not faster.prolongs(recipe.record())


def refusal(call, *arguments):
    with pytest.raises(DataError) as caught:
        call(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    line = refusal(read_recipe, str(tmp_path / "pipe.toml"))
    assert line == f"{tmp_path / 'pipe.toml'}: not a regular file"


def test_unknown_name():
    names = ", ".join(sorted(path.stem for path in RECIPES.glob("*.toml")))
    assert refusal(read_recipe, "digit") == f"no recipe digit; available: {names}"


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"name = 'x'\nname = 'y'"])
def test_no_toml(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert refusal(read_recipe, str(path)).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("section", "changes", "fault"),
    [
        ("optimisation", {"steps": 0}, "optimisation.steps"),
        ("optimisation", {"seed": -1}, "optimisation.seed"),
        ("optimisation", {"seed": 2**32}, "optimisation.seed"),
        ("optimisation", {"learning_rate": float("nan")}, "optimisation.learning_rate"),
        ("optimisation", {"schedule_rate": 0}, "optimisation.schedule_rate"),
        ("optimisation", {"momentum": 0.9}, "optimisation.momentum"),
        ("model", {"latent_k": 6}, "latent_k 6"),
        ("data", {"split": {"test": 5}}, "no train part"),
        ("data", {"split": {"train": 5, "validation": 5}}, "data.split.validation"),
        ("data", {"split": {"train": 0}}, "data.split.train"),
        ("data", {"test_source": "t10k.idx"}, "test_source"),
        ("name", "../digits", "name"),
    ],
)
def test_faults_are_named(section, changes, fault):
    value = TINY[section] | changes if isinstance(changes, dict) else changes
    line = refusal(parse_recipe, TINY | {section: value}, "mine.toml")
    assert line.startswith("mine.toml: ")
    assert fault in line
