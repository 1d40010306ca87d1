"""Presets: the checkpoint's own before the untuned ones, and nothing that no solver takes."""

from typing import Any

import pytest

from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.presets import UNTUNED, preset, presets
from models.schema.specs import Ddpm, RtkMala


def manifest(**found: Any) -> Manifest:
    return Manifest(name="m", config=MulanConfig(), sha256="0" * 64, parameters=1, presets=found)


def test_the_checkpoint_s_own_win() -> None:
    found = presets(manifest(best={"name": "rtk-mala", "segments": 3}))
    assert found == UNTUNED | {"best": RtkMala(segments=3)}


def test_where_nothing_is_nearer_than_balanced_there_is_no_best() -> None:
    found = presets(manifest(balanced={"name": "rtk-mala", "segments": 3}))
    assert found == {"fast": UNTUNED["fast"], "balanced": RtkMala(segments=3)}
    assert preset(found, "best") == preset(found, "balanced") == RtkMala(segments=3)
    assert preset(UNTUNED, "best") == UNTUNED["best"]


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
