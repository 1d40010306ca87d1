"""The numbers of a cell: one server under one load of one scenario, over all rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadtests.peers.client import Outcome

# A request is in time within so many times what its evaluations take in full calls of the bare
# loop.
SLACK = 2.0
# Scores agree within this share of their size.
SCORE_TOLERANCE = 1e-6

# What tells requests apart: round, scenario, load, and the request's seed.
Key = tuple[int, str, float, int]


@dataclass(frozen=True)
class Played:
    """One server's outcomes of one cell in one round.

    `bare` is the rate of the bare loop measured beside it, in row-evaluations a second,
    `spent_s` the processor time of the server's processes, `rows` those of a call of the loop.
    """

    number: int
    server: str
    scenario: str
    load: float
    outcomes: tuple[Outcome, ...]
    bare: float
    spent_s: float
    resident_mb: float
    rows: int

    @property
    def short(self) -> list[Outcome]:
        """The outcomes of all but the long jobs."""
        return [one for one in self.outcomes if not one.arrival.long]

    @property
    def span_s(self) -> float:
        """The seconds from the first intended time of a short request to the last answer to one."""
        first = min(one.arrival.at for one in self.short)
        return max((one.ended or 0.0 for one in self.short), default=0.0) - first

    def limit_s(self, outcome: Outcome) -> float:
        """Return the seconds within which a request is in time."""
        return SLACK * outcome.arrival.kind.evaluations * self.rows / self.bare

    def key(self, outcome: Outcome) -> Key:
        """Return what tells a request from all others."""
        return self.number, self.scenario, self.load, outcome.arrival.seed


@dataclass(frozen=True)
class Cell:
    """The numbers of one cell: times in seconds, rates in row-evaluations a second.

    A percentile is infinite where too few requests were answered. `goodput` counts the work of
    requests in time, `throughput` that of all; `attainment` is the share of requests in time.
    `of_bare` is the throughput over the rate of the bare loop, `spent_ms` the processor time of a
    request. All are those of short requests, but for `long_end_s`, the mean latency of long ones,
    None without any.
    """

    scenario: str
    load: float
    server: str
    requests: int
    answered: int
    p50: float
    p95: float
    p99: float
    attainment: float
    goodput: float
    throughput: float
    of_bare: float
    long_end_s: float | None
    spent_ms: float
    resident_mb: float
    client_late_ms: float


def by_cell(played: Sequence[Played], servers: Sequence[str]) -> list[Cell]:
    """Return the numbers of all cells, each over its rounds: in the order in which they were first
    played, and within each in the order of `servers`."""
    cells: dict[tuple[str, float], dict[str, list[Played]]] = {}
    for one in played:
        of_servers = cells.setdefault((one.scenario, one.load), {name: [] for name in servers})
        of_servers[one.server].append(one)
    return [cell(rounds) for found in cells.values() for rounds in found.values() if rounds]


def cell(rounds: Sequence[Played]) -> Cell:
    """Return the numbers of one server's rounds of one cell."""
    first = rounds[0]
    short = [(played, one) for played in rounds for one in played.short]
    latencies = np.sort([one.latency for _, one in short])
    timely = [(played, one) for played, one in short if one.latency <= played.limit_s(one)]
    span = sum(played.span_s for played in rounds)
    done = sum(one.arrival.kind.work for _, one in short if one.ok)
    long = [one.latency for played in rounds for one in played.outcomes if one.arrival.long]
    throughputs = [
        sum(one.arrival.kind.work for one in played.short if one.ok) / _positive(played.span_s)
        for played in rounds
    ]
    return Cell(
        first.scenario,
        first.load,
        first.server,
        len(short),
        sum(one.ok for _, one in short),
        *(percentile(latencies, share) for share in (0.5, 0.95, 0.99)),
        len(timely) / len(short),
        sum(one.arrival.kind.work for _, one in timely) / _positive(span),
        done / _positive(span),
        float(
            np.mean([rate / played.bare for rate, played in zip(throughputs, rounds, strict=True)])
        ),
        float(np.mean(long)) if long else None,
        1e3 * sum(played.spent_s for played in rounds) / len(short),
        max(played.resident_mb for played in rounds),
        1e3 * max(one.late for _, one in short),
    )


def percentile(ascending: np.ndarray, share: float) -> float:
    """Return the smallest of the `ascending` values that at least `share` of them do not
    exceed."""
    return float(ascending[max(0, int(np.ceil(share * len(ascending))) - 1)])


@dataclass
class Agreement:
    """The number of answers that both a server and the reference gave, and of equal ones."""

    images: int = 0
    same_images: int = 0
    scores: int = 0
    same_scores: int = 0
    differing: list[Key] = field(default_factory=list)


def agreements(played: Sequence[Played], reference: str) -> Mapping[str, Agreement]:
    """Compare every server's answers with those of the server `reference`, request by request."""
    expected = {
        one.key(outcome): outcome
        for one in played
        if one.server == reference
        for outcome in one.outcomes
        if outcome.ok
    }
    found: dict[str, Agreement] = {}
    for one in played:
        if one.server == reference:
            continue
        agreement = found.setdefault(one.server, Agreement())
        for outcome in one.outcomes:
            wanted = expected.get(one.key(outcome))
            if wanted is not None and outcome.ok:
                _compare(agreement, one.key(outcome), outcome, wanted)
    return found


def _compare(agreement: Agreement, key: Key, found: Outcome, wanted: Outcome) -> None:
    if wanted.images:
        same = found.images == wanted.images
        agreement.images += 1
        agreement.same_images += same
    else:
        same = len(found.scores) == len(wanted.scores) and np.allclose(
            found.scores, wanted.scores, rtol=SCORE_TOLERANCE, atol=0.0, equal_nan=True
        )
        agreement.scores += 1
        agreement.same_scores += same
    if not same:
        agreement.differing.append(key)


def _positive(seconds: float) -> float:
    return max(seconds, 1e-9)
