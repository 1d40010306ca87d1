"""One price: what admission predicts is what the engine counts and what workers are sized by."""

from collections.abc import Mapping

import numpy as np
import pytest
from small_calibration import small_calibration
from small_engine import CHECKPOINT, CONFIG, drive, images, job

from loadtests.capacity.traffic import MIXED, Arrival, Kind
from models.schema.manifest import Manifest
from models.schema.presets import presets
from models.schema.specs import FlowPath
from service.catalogue import ServedModel
from service.engine.engine import Engine
from service.engine.scheduler import Scheduler, SchedulerLimits
from service.jobs import Decoded
from service.kind import AnyKind
from service.kinds import KINDS
from service.kinds.likelihoods.task import ScoreResult
from service.price import Quote, price
from service.rows import Served
from service.settings import Settings
from service.telemetry.observers import EngineObserver
from service.telemetry.ticks import Tick

MANIFEST = Manifest(name="small", config=CONFIG, sha256=CHECKPOINT, parameters=1)
MODEL = ServedModel(
    MANIFEST,
    "cpu/test",
    presets(MANIFEST),
    small_calibration(CHECKPOINT, CONFIG, FlowPath(steps=4, fresh=2, probes=2)),
)
BODIES = {
    "samples": {"model": "small", "count": 3, "solver": {"name": "ddpm", "steps": 5}},
    "likelihoods": {"model": "small", "draws": 2, "probes": 3, "tolerance_nats": 10.0},
    "anomalies": {"model": "small", "alpha": 0.5},
    "schedules": {"model": "small"},
}


class Till(EngineObserver):
    """Adds up the work of all calls."""

    def __init__(self) -> None:
        self.work = 0

    def tick_ended(self, tick: Tick) -> None:
        self.work += sum(call.work for call in tick.calls)


def asked(kind: AnyKind) -> tuple[Quote, object]:
    """What admission predicts of a request, and its task."""
    request = (kind.parameters or kind.request).model_validate(BODIES[kind.name])
    tokens = images(4 if kind.takes_images else 0)
    quote = kind.quote(request, len(tokens), MODEL, Settings())
    return quote, kind.make(request, Decoded(tokens), MODEL)


@pytest.mark.parametrize("name", ["samples", "anomalies"])
def test_work_of_known_length_costs_what_was_predicted(
    name: str, models: Mapping[str, Served]
) -> None:
    till = Till()
    quote, task = asked(KINDS[name])
    drive(Engine(models, observer=till), [job("a", task)])
    assert till.work == quote.row_evaluations


def test_a_likelihood_costs_its_evaluations_at_the_price_that_was_predicted(
    models: Mapping[str, Served],
) -> None:
    till = Till()
    quote, task = asked(KINDS["likelihoods"])
    outcomes, _ = drive(Engine(models, observer=till), [job("a", task)])
    scored = outcomes["a"]
    assert isinstance(scored, ScoreResult)
    assert till.work == price(1, sum(score.nfe for score in scored.scores), probes=3)
    assert quote.row_evaluations == price(4 * 2, task.solver.expected_evaluations, probes=3)


def test_a_schedule_costs_as_one_evaluation_and_makes_none(models: Mapping[str, Served]) -> None:
    till = Till()
    quote, task = asked(KINDS["schedules"])
    drive(Engine(models, observer=till), [job("a", task)])
    assert quote.row_evaluations == 4
    assert till.work == 0


@pytest.mark.parametrize(
    ("quote", "total", "formula"),
    [
        (Quote(16, 20), 320, "images x steps = 16 x 20"),
        (Quote(8, 39, probes=1), 624, "images x (1 + probes) x steps = 8 x 2 x 39"),
        (Quote(4, 71, 3, 2), 2556, "images x draws x (1 + probes) x steps = 4 x 3 x 3 x 71"),
    ],
)
def test_a_quote_says_how_the_price_is_made(quote: Quote, total: int, formula: str) -> None:
    assert quote.row_evaluations == total
    assert quote.formula == formula


@pytest.mark.parametrize("probes", [0, 1, 3])
def test_a_tick_takes_as_many_rows_as_its_price_pays_for(probes: int) -> None:
    scheduler = Scheduler(SchedulerLimits(tick=64))
    scheduler.add(100, 5, weight=price(rows=1, probes=probes))
    assert price(len(scheduler.plan().run), probes=probes) == 64


@pytest.mark.parametrize("kind", MIXED, ids=lambda kind: kind.name)
def test_simulated_traffic_is_charged_what_it_costs(kind: Kind) -> None:
    charged = Arrival(0.0, kind, 1).job().cost
    assert charged == kind.work == price(kind.rows, kind.evaluations, kind.probes)
    assert np.isclose(kind.weight, charged / (kind.rows * kind.evaluations))
