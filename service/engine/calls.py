"""One network call for rows of several lanes."""

from collections.abc import Mapping
from typing import NamedTuple

from models.rows.denoiser import Denoiser
from service.engine.ids import Ids
from service.engine.lane import AnyBatch, AnyLane, RowProgress, evaluate
from service.engine.running import LaneKey
from service.price import price
from service.telemetry.ticks import NetworkCall, Reason, Tick


class Advanced(NamedTuple):
    """Rows of a lane after the call, which the lane does not have yet, and how far they are, if the
    lane's solver decides on its own steps."""

    batch: AnyBatch
    progress: RowProgress | None


def advanced(denoiser: Denoiser, parts: Mapping[AnyLane, Ids], tick: Tick) -> list[Advanced]:
    """Evaluate the rows of these ids in one call, and return those of each lane with their answers.

    No lane changes. The phases of `tick` take the time.
    """
    batches = [lane.batch(rows) for lane, rows in parts.items()]
    inputs = [lane.ask(batch) for lane, batch in zip(parts, batches, strict=True)]
    tick.lap("ask")
    answers = evaluate(denoiser, inputs)
    tick.lap("network")
    told = [
        lane.tell(batch, answer)
        for lane, batch, answer in zip(parts, batches, answers, strict=True)
    ]
    found = [
        Advanced(batch, lane.progress(batch) if lane.adaptive else None)
        for lane, batch in zip(parts, told, strict=True)
    ]
    tick.lap("tell")
    return found


def network_call(parts: Mapping[LaneKey, Ids], reason: Reason) -> NetworkCall:
    """Return what observers read of a call for these rows."""
    checkpoint, _, probes = next(iter(parts))
    rows = {key.solver: len(ids) for key, ids in parts.items()}
    work = price(sum(rows.values()), probes=probes)
    return NetworkCall(checkpoint, "pull-back" if probes else "forward", reason, rows, work)
