"""Presets: the checkpoint's own before the untuned ones, and nothing that no solver takes."""

from typing import Any, get_args

import pytest

from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.presets import UNTUNED, PresetName, preset, presets
from models.schema.specs import Ddpm, RtkMala


def manifest(**found: Any) -> Manifest:
    return Manifest(name="m", config=MulanConfig(), sha256="0" * 64, parameters=1, presets=found)


def test_the_checkpoint_s_own_win() -> None:
    found = presets(manifest(best={"name": "rtk-mala", "segments": 3}))
    assert found == UNTUNED | {"best": RtkMala(segments=3)}


def test_a_checkpoint_with_a_balanced_preset_offers_what_it_names() -> None:
    found = presets(manifest(balanced={"name": "rtk-mala", "segments": 3}))
    assert found == {"balanced": RtkMala(segments=3)}
    for name in get_args(PresetName):
        assert preset(found, name) == RtkMala(segments=3)
        assert preset(UNTUNED, name) == UNTUNED[name]


def test_untuned_presets_cost_ever_more() -> None:
    costs = [UNTUNED[name].evaluations for name in ("fast", "balanced", "best")]
    assert costs == [20, 50, 250]
    assert UNTUNED["balanced"] == Ddpm(steps=50, grid="gamma")


@pytest.mark.parametrize(
    "wrong",
    [
        {"quick": {"name": "ddpm"}},
        {"fast": {"name": "euler"}},
        {"fast": {"name": "ddpm", "steps": 0}},
        {"fast": {}},
    ],
)
def test_a_wrong_preset_names_checkpoint_and_preset(wrong: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=f"m: presets.{next(iter(wrong))}"):
        presets(manifest(**wrong))
