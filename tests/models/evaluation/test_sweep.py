"""Samplers over evaluations: measured, tuned, and what is made of the table."""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from models.checkpoints.checkpoint import load_checkpoint
from models.cli import models as command
from models.evaluation.samples import classifier
from models.evaluation.samples.distances import Distance
from models.evaluation.samples.drawing import Drawings, draw_samples
from models.evaluation.samples.moves import moved, moves_report
from models.evaluation.samples.sweep import RTK, Row, Sweep, Tuning
from models.evaluation.samples.text import rivals_table, savings, sweep_table
from models.rows.rows import Answer, Condition, Query
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import EagerRuntime, eager_denoiser
from models.schema.manifest import read_manifest
from models.schema.presets import presets
from models.schema.specs import Ddpm, Dpm2m, Dpm2mSde, RtkMala, RtkUla, SamplerSpec
from models.solvers import SAMPLERS
from models.tuning import tune
from models.tuning.shapes import SHAPES, Shape, untuned

FEW = (
    Shape("ddpm", {}),
    Shape("dpm-2m", {}),
    Shape("rtk-ula", {"step_size": 0.5}),
    Shape("rtk-mala", {"start": "multistep"}),
)
BUDGETS, BASELINES = (3, 6), (8, 9)


def distance(value: float, error: float = 0.01) -> Distance:
    return Distance(value=value, standard_error=error, low=value - error, high=value + error)


def row(spec: SamplerSpec, value: float) -> Row:
    return Row(
        solver=spec,
        evaluations=spec.evaluations,
        images=100,
        kernel=distance(value),
        frechet=distance(value),
        acceptance_rate=None,
    )


FOUND = Sweep(
    seed=0,
    reference=50,
    real=(distance(0), distance(0)),
    rows=[
        row(Ddpm(steps=5), 0.9),
        row(Ddpm(steps=20), 0.3),
        row(Ddpm(steps=250), 0.11),
        row(Ddpm(steps=1000), 0.10),
        row(Dpm2m(steps=5), 0.2),
        row(Dpm2m(steps=20), 0.13),
        row(RtkUla(segments=2), 0.8),
        row(RtkUla(segments=25), 0.135),
        row(RtkUla(segments=50), 0.09),
    ],
)


def test_the_best_for_a_budget_is_the_nearest_that_it_pays_for() -> None:
    assert FOUND.best(10).solver == Dpm2m(steps=5)
    assert FOUND.best(10, "ddpm").solver == Ddpm(steps=5)
    assert FOUND.best(1000).solver == RtkUla(segments=50)
    assert FOUND.best(99, *RTK).solver == RtkUla(segments=25)
    assert tune.winners(FOUND) == {
        "fast": Dpm2m(steps=5),
        "balanced": Dpm2m(steps=20),
        "best": RtkUla(segments=50),
    }


def test_the_cheapest_is_as_near_up_to_one_error_of_the_difference() -> None:
    """Which is 0.014 here: 0.13 is not as near as 0.11, and 0.12 is."""
    assert FOUND.cheapest(250).solver == RtkUla(segments=50)
    near = FOUND.with_row(row(Dpm2m(steps=10), 0.1))
    assert near.cheapest(250).solver == Dpm2m(steps=10)
    assert FOUND.with_row(row(Dpm2m(steps=10), 0.105)).cheapest(20).solver == Dpm2m(steps=10)
    assert tune.winners(FOUND.with_row(row(Dpm2m(steps=20), 0.05))) == {
        "fast": Dpm2m(steps=5),
        "balanced": Dpm2m(steps=20),
    }
    assert tune.winners(FOUND.with_row(row(Dpm2m(steps=5), 0.05))) == {"balanced": Dpm2m(steps=5)}
    learned = Dpm2m(steps=5, points=(0.9, 0.8, 0.7, 0.6))
    assert tune.winners(FOUND.with_row(row(learned, 0.05))) == {
        "fast": learned,
        "balanced": Dpm2m(steps=20),
        "best": RtkUla(segments=50),
    }


def test_a_row_takes_the_place_of_one_that_is_further() -> None:
    learned = Dpm2m(steps=5, points=(0.9, 0.8, 0.7, 0.6))
    assert FOUND.with_row(row(learned, 0.21)) is FOUND
    found = FOUND.with_row(row(learned, 0.19))
    assert [row.solver for row in found.of("dpm-2m")] == [learned, Dpm2m(steps=20)]
    assert len(found.rows) == len(FOUND.rows)
    other = FOUND.with_row(row(Dpm2mSde(steps=5), 0.3))
    assert len(other.rows) == len(FOUND.rows) + 1


def test_as_good_means_no_further_but_for_errors_of_the_difference() -> None:
    """Two errors of the difference are 0.01 * sqrt(2) * 2 = 0.028 here."""
    lenient = {steps: FOUND.as_good(steps, errors=2) for steps in (250, 1000)}
    assert {steps: row and row.evaluations for steps, row in lenient.items()} == {
        250: 20,
        1000: 100,
    }
    strict = FOUND.as_good(250)
    assert strict is not None
    assert strict.solver == RtkUla(segments=50)
    rtk = FOUND.as_good(250, *RTK, errors=2)
    assert rtk is not None
    assert rtk.evaluations == 50
    assert FOUND.as_good(1000, "dpm-2m", errors=2) is None


def test_of_equal_evaluations_the_nearest_comes_first() -> None:
    near, far = row(RtkUla(segments=5), 0.1), row(Ddpm(steps=10), 0.2)
    for rows in ([near, far], [far, near]):
        assert FOUND.model_copy(update={"rows": rows}).of() == [near, far]


def test_the_tables_say_so() -> None:
    lines = sweep_table(FOUND).splitlines()
    assert lines[2].startswith("| `ddpm` | 900.00 ± 10.00 |  | 300.00 ± 10.00 |  |  | 110.00")
    assert len({line.count("|") for line in lines}) == 1
    assert "| 20 | `rtk-ula`, 4 | 800.00 ± 10.00 | `ddpm`, 20 | 300.00" in rivals_table(FOUND)
    *_, first, second = savings(FOUND).splitlines()
    assert first == (
        "| 250 steps | 110.00 ± 10.00 | `rtk-ula`, 100 | `rtk-ula`, 100 | `dpm-2m`, 20 "
        "| `rtk-ula`, 50 |"
    )
    assert second.endswith("| `rtk-ula`, 100 | `rtk-ula`, 100 | `rtk-ula`, 100 | `rtk-ula`, 100 |")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("budget", [1, 5, 50, 100])
def test_a_shape_spends_its_budget_but_for_less_than_one_segment(shape: Shape, budget: int) -> None:
    spec, one = shape.spec(budget), shape.spec(100)
    assert one is not None
    price = one.evaluations // one.pieces
    if spec is None:
        assert price > budget
    else:
        assert budget - price < spec.evaluations <= budget


def test_every_sampler_has_shapes_and_is_measured_untuned() -> None:
    assert {shape.name for shape in SHAPES} == set(SAMPLERS)
    specs = untuned()
    assert {spec.name for spec in specs} == set(SAMPLERS)
    assert len({spec.model_dump_json() for spec in specs}) == len(specs)
    assert {spec.evaluations for spec in specs if spec.name == "ddpm"} == {
        5,
        10,
        20,
        50,
        100,
        250,
        1000,
    }


class Counting(NetworkDenoiser):
    """Counts the rows that it evaluates."""

    rows = 0

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        self.rows += len(query.t)
        return super().evaluate(query, condition)


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_counted_is_what_the_network_evaluated(name: str, small_checkpoint: Path) -> None:
    model = load_checkpoint(small_checkpoint).model
    denoiser = Counting(model, EagerRuntime(model))
    spec = next(shape for shape in SHAPES if shape.name == name).spec(9)
    assert spec is not None
    drawn = draw_samples(denoiser, spec, 5, 0, torch.device("cpu"), batch=2)
    assert drawn.evaluations.tolist() == [spec.evaluations] * 5
    assert denoiser.rows == 5 * spec.evaluations


@pytest.fixture(scope="module")
def tuned(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder tuned by the command, over few settings."""
    folder = tmp_path_factory.mktemp("tuned") / "small"
    shutil.copytree(small_checkpoint, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 60)
        patch.setattr(tune, "SHAPES", FEW)
        patch.setattr(tune, "POWERS", (0.5,))
        patch.setattr(tune, "BUDGETS", BUDGETS)
        patch.setattr(tune, "BASELINES", BASELINES)
        patch.setattr(tune, "LARGEST_PILOT", 3)
        patch.setattr(tune, "ADAPTING_IMAGES", 4)
        ran = CliRunner().invoke(
            command,
            ["tune", str(folder), "--pilot", "16", "--images", "24"],
            catch_exceptions=False,
        )
    assert ran.exit_code == 0, ran.output
    return folder


def test_tuning_writes_presets_and_where_they_come_from(
    tuned: Path, small_checkpoint: Path
) -> None:
    manifest = read_manifest(tuned)
    found = Tuning.model_validate(manifest.tuning)
    assert found.command == "mulan models tune small --pilot 16 --images 24 --seed 0"
    rows = {(row.solver.name, row.evaluations) for row in found.sweep.rows}
    assert rows == {
        ("ddpm", 3), ("ddpm", 6), ("ddpm", 8), ("ddpm", 9), ("dpm-2m", 3), ("dpm-2m", 6),
        ("rtk-ula", 2), ("rtk-ula", 6), ("rtk-mala", 3), ("rtk-mala", 5),
    }  # fmt: skip
    assert presets(manifest) == tune.winners(found.sweep)
    adapted = next(
        row.solver
        for row in found.sweep.rows
        if row.evaluations == 5 and row.solver.name == "rtk-mala"
    )
    assert isinstance(adapted, RtkMala)
    assert adapted.step_sizes is not None
    assert all(row.images == 24 for row in found.sweep.rows)
    rated = [row for row in found.sweep.rows if row.acceptance_rate is not None]
    assert [row.solver.name for row in rated] == ["rtk-mala"] * 2
    untouched = manifest.model_copy(update={"presets": {}, "tuning": {}})
    assert untouched == read_manifest(small_checkpoint)


def test_samples_measures_the_tuned_settings_again(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tuning's own seed, the tuning's own figures; and it writes them down and draws."""
    monkeypatch.setattr(classifier, "STEPS", 60)
    arguments = ["evaluate", "samples", "small", "--models", str(tuned.parent)]
    arguments += ["--images", "24", "--seed", "1", "--out", str(tmp_path), "--json"]
    ran = CliRunner().invoke(command, arguments, catch_exceptions=False)
    expected = read_manifest(tuned).tuning["sweep"]
    assert json.loads(ran.stdout) == expected
    with (tmp_path / "samples.csv").open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [float(line["kernel"]) for line in written] == [
        line["kernel"]["value"] for line in expected["rows"]
    ]
    for name in "samplers.png", "side-by-side.png":
        with Image.open(tmp_path / name) as picture:
            picture.verify()


def test_samples_in_bfloat16_are_compared_with_the_card(
    tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tuning's own seed nothing moves; a card with other distances has moved."""
    monkeypatch.setattr(classifier, "STEPS", 60)
    arguments = ["evaluate", "samples", "small", "--models", str(tuned.parent), "--json"]
    arguments += ["--images", "24", "--seed", "1", "--sample-dtype", "bfloat16", "--at-most", "3"]
    ran = CliRunner().invoke(command, arguments, catch_exceptions=False)
    found = json.loads(ran.stdout)
    assert found["moved"] == []
    card = Tuning.model_validate(read_manifest(tuned).tuning).sweep
    rows = [
        row.model_copy(
            update={"kernel": row.kernel.model_copy(update={"value": row.kernel.value + 1e3})}
        )
        for row in card.rows
    ]
    assert len(moved(card.model_copy(update={"rows": rows}), card)) == len(rows)
    assert "10 of 10 settings of the card moved" in moves_report(
        card.model_copy(update={"rows": rows}), card
    )
    few = card.model_copy(update={"rows": card.rows[:3]})
    assert "0 of 3 settings of the card moved" in moves_report(card, few)
    lost = card.rows[0].kernel.model_copy(update={"value": math.nan})
    wrong = (card.rows[0].model_copy(update={"kernel": lost}), *card.rows[1:])
    assert len(moved(card.model_copy(update={"rows": wrong}), card)) == 1


def test_drawing_in_parts_changes_nothing(small_checkpoint: Path) -> None:
    denoiser = eager_denoiser(load_checkpoint(small_checkpoint).model)
    one, two = (
        draw_samples(denoiser, Ddpm(steps=3), 7, 0, torch.device("cpu"), batch=batch)
        for batch in (2, 64)
    )
    assert (one.tokens == two.tokens).all()


def test_what_was_drawn_is_taken_again(small_checkpoint: Path, tmp_path: Path) -> None:
    """From a folder, for the same checkpoint, settings, number and seed only."""
    checkpoint = load_checkpoint(small_checkpoint)
    denoiser = Counting(checkpoint.model, EagerRuntime(checkpoint.model))
    spec = RtkMala(segments=2)
    for sha256, settings, count, seed, fresh in (
        ("a", spec, 5, 0, True),
        ("a", spec, 5, 0, False),
        ("b", spec, 5, 0, True),
        ("a", spec, 5, 1, True),
        ("a", spec, 4, 0, True),
        ("a", RtkMala(segments=2, step_size=0.3), 5, 0, True),
    ):
        denoiser.rows = 0
        drawings = Drawings(denoiser, sha256, torch.device("cpu"), tmp_path / "kept")
        drawn = drawings.draw(settings, count, seed)
        assert denoiser.rows == (count * settings.evaluations if fresh else 0)
        expected = draw_samples(denoiser, settings, count, seed, torch.device("cpu"))
        assert (drawn.tokens == expected.tokens).all()
        assert torch.equal(drawn.evaluations, expected.evaluations)
        assert torch.equal(drawn.acceptance_rate, expected.acceptance_rate)


def test_steps_are_learned_for_a_tuned_checkpoint_alone(
    tuned: Path, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learned steps join the table where they are nearer than its rows, and leave the rest."""
    monkeypatch.setattr(classifier, "STEPS", 60)
    refused = CliRunner().invoke(command, ["tune-steps", str(small_checkpoint)])
    assert refused.exit_code == 1
    assert "run `mulan models tune` before" in refused.output
    folder = tmp_path / "small"
    shutil.copytree(tuned, folder)
    arguments = ["tune-steps", str(folder), "--steps", "3", "--rounds", "3", "--batch", "32"]
    ran = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    rows = {name: Row.model_validate(found) for name, found in json.loads(ran.stdout).items()}
    before = Tuning.model_validate(read_manifest(tuned).tuning)
    assert rows["start"] in before.sweep.rows
    assert rows["learned"].evaluations == 3
    found = Tuning.model_validate(read_manifest(folder).tuning)
    line = "mulan models tune-steps small --steps 3 --rounds 3 --batch 32 --seed 0"
    assert found.learned == [line]
    assert found.sweep.rows == [*before.sweep.rows, rows["learned"]]
    assert presets(read_manifest(folder)) == tune.winners(found.sweep)
