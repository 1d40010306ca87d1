"""A real Prometheus on a real fleet under load: every expression has data, and alerts fire.

One story is told once, and the tests look at what was seen of it: traffic; more jobs than may
wait; Redis away; a worker killed; the other one; the API.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from redis_server import RedisServer
from rulebook import rules, series_of
from test_observability import whole_registry
from tiny_zoo import write_checkpoint

from loadtests.mixed import Mixed
from loadtests.observed import Fleet, observed
from loadtests.panels import read_boards, variables
from loadtests.prometheus import Prometheus

pytestmark = pytest.mark.needs("prometheus")

MODEL = "tiny"
SOLVERS: list[dict[str, Any]] = [
    {"name": "ddpm", "steps": 20},
    {"name": "rtk-mala", "segments": 4, "inner_steps": 4},
]
LONG = {"model": MODEL, "count": 1, "solver": {"name": "ddpm", "steps": 1000}}
# More than two workers hold and the queue does.
FLOOD = 2 * 64 + 40
SETTINGS = {"--lease-s": "4", "--max-queued-jobs": "8"}
# A machine whose cores other tests share may take long to show everything.
QUIET_S, WITHIN_S = 8.0, 180.0
# What only a GPU has: there the expressions are only parsed.
ON_GPU_ALONE = "mulan_device_memory_bytes"

LEGENDS = dict(
    query
    for panels in read_boards(rate="15s").values()
    for panel in panels
    for query in panel.queries
)
EXPRESSIONS = sorted(LEGENDS.keys() | {rule["expr"] for rule in rules()})
WITH_DATA = [expr for expr in EXPRESSIONS if ON_GPU_ALONE not in expr]


def with_answers(expr: str) -> str:
    """A condition whose comparisons answer 0 or 1, where they would else leave out what is 0, and
    that counts what it would be absent: it has data exactly if what it compares has."""
    outside = re.split(r"({[^}]*})", expr.replace("absent(", "count("))
    return "".join(
        part if part.startswith("{") else re.sub(r"(==|>=|<=|!=|>|<)", r"\1 bool", part)
        for part in outside
    )


@dataclass
class Seen:
    """What came of it all."""

    prometheus: Prometheus
    waiting: set[str] = field(default_factory=lambda: set(EXPRESSIONS))
    labels: dict[str, set[str]] = field(default_factory=dict)
    firing: dict[str, set[str]] = field(default_factory=dict)
    up: int = 0
    unhealthy: list[dict[str, Any]] = field(default_factory=list)
    choices: dict[str, list[str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Ask again for everything that had no data yet."""
        for expr in sorted(self.waiting):
            found = self.prometheus.now(with_answers(expr))
            if any(math.isfinite(value) for _, value in found):
                self.waiting.discard(expr)
                self.labels[expr] = set(found[0][0])

    def until(self, holds: Callable[[], bool]) -> None:
        """Look until something holds, or for a while."""
        deadline = time.monotonic() + WITHIN_S
        while not holds() and time.monotonic() < deadline:
            self.look()
            time.sleep(0.5)

    def fires(self, moment: str, *names: str) -> None:
        """Wait for alerts, and note what fires."""
        self.until(lambda: set(names) <= self.prometheus.firing())
        self.firing[moment] = self.prometheus.firing()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("observed")
    write_checkpoint(folder / "zoo" / MODEL)
    redis = RedisServer(folder, durable=True)
    arguments = ["--models", str(folder / "zoo"), *sum(SETTINGS.items(), ())]
    with ExitStack() as stack:
        redis.start()
        stack.callback(redis.stop)
        fleet, prometheus = stack.enter_context(observed(folder, redis.url, *arguments, hold=2))
        seen = Seen(prometheus)
        with Mixed(fleet.address, MODEL, SOLVERS, clients=4):
            tell(seen, fleet, redis)
        yield seen


def tell(seen: Seen, fleet: Fleet, redis: RedisServer) -> None:
    prometheus = seen.prometheus
    time.sleep(QUIET_S)
    seen.until(lambda: all_is_scraped(seen))
    seen.firing["quiet"] = prometheus.firing()
    flood(fleet)
    redis.stop()
    refused(fleet)
    seen.fires("Redis away", "MulanRedisUnreachable")
    redis.start()
    seen.until(lambda: "MulanRedisUnreachable" not in prometheus.firing())
    flood(fleet)
    fleet.workers[0].kill()
    seen.fires("a worker killed", "MulanWorkerDown", "MulanWorkersDie")
    seen.until(lambda: all(ON_GPU_ALONE in expr for expr in seen.waiting))
    seen.names = set(prometheus.label_values("__name__", '{job=~"mulan-.+"}'))
    seen.unhealthy = [rule for rule in prometheus.rules() if rule["health"] != "ok"]
    fleet.workers[1].kill()
    seen.fires("no worker left", "MulanModelWithoutWorkers")
    fleet.api.kill()
    seen.fires("no API left", "MulanApiDown", "MulanNoApi", "MulanNoWorkers")


def all_is_scraped(seen: Seen) -> bool:
    """Note what is up and what the boards' variables may be; True once that is everything."""
    prometheus = seen.prometheus
    seen.up = sum(value == 1 for _, value in prometheus.now('up{job=~"mulan-.+"}'))
    seen.choices = {label: prometheus.label_values(label, of) for label, of in variables()}
    drawn = {solver["name"] for solver in SOLVERS} <= set(seen.choices["solver"])
    return seen.up == 3 and drawn and len(seen.choices["instance"]) == 3


def flood(fleet: Fleet) -> None:
    """Queue more jobs than may wait."""
    with httpx.Client(base_url=fleet.address) as client:
        for seed in range(FLOOD):
            job = {"kind": "samples", "request": {**LONG, "seed": seed}}
            client.post("/v1/jobs", json=job)


def refused(fleet: Fleet) -> None:
    """Send a request that is refused: on a busy machine all other clients may be waiting."""
    job = {"kind": "samples", "request": {"model": MODEL}}
    answer = httpx.post(f"{fleet.address}/v1/jobs", json=job, timeout=30)
    assert answer.status_code == 503


def test_every_process_is_scraped(seen: Seen) -> None:
    assert seen.up == 3


def test_nothing_fires_while_all_is_well(seen: Seen) -> None:
    # The tiny checkpoint's calibration is of nothing: its p-values are not even.
    assert seen.firing["quiet"] <= {"MulanPValuesShifted", "MulanImagesDrift"}


def test_no_process_has_a_metric_that_the_documents_do_not_know(seen: Seen) -> None:
    ours = {name for name in seen.names if name.startswith("mulan_")}
    assert len(ours) > 30
    assert ours <= {
        name
        for family in whole_registry().collect()
        for name in series_of(family.name, family.type)
    }


@pytest.mark.parametrize("expr", WITH_DATA)
def test_every_expression_of_every_panel_and_rule_has_data(seen: Seen, expr: str) -> None:
    assert expr not in seen.waiting


@pytest.mark.parametrize("expr", [expr for expr in WITH_DATA if expr in LEGENDS])
def test_every_legend_names_what_its_series_have(seen: Seen, expr: str) -> None:
    assert set(re.findall(r"{{(\w+)}}", LEGENDS[expr])) <= seen.labels[expr]


def test_only_the_memory_of_devices_may_have_no_data_where_there_is_no_gpu(seen: Seen) -> None:
    assert len([expr for expr in EXPRESSIONS if ON_GPU_ALONE in expr]) == 1
    assert all(ON_GPU_ALONE in expr for expr in seen.waiting)


def test_every_rule_is_evaluated_without_error(seen: Seen) -> None:
    assert seen.unhealthy == []


def test_every_variable_of_the_boards_has_something_to_choose(seen: Seen) -> None:
    assert MODEL in seen.choices["model"]
    assert {"ddpm", "rtk-mala"} <= set(seen.choices["solver"])
    assert len(seen.choices["instance"]) == 3


@pytest.mark.parametrize(
    ("moment", "alert"),
    [
        ("Redis away", "MulanRedisUnreachable"),
        ("a worker killed", "MulanWorkerDown"),
        ("a worker killed", "MulanWorkersDie"),
        ("no worker left", "MulanModelWithoutWorkers"),
        ("no API left", "MulanApiDown"),
        ("no API left", "MulanNoApi"),
        ("no API left", "MulanNoWorkers"),
    ],
)
def test_what_happens_fires_its_alert(seen: Seen, moment: str, alert: str) -> None:
    assert alert in seen.firing[moment]


@pytest.mark.parametrize(
    ("moment", "alert"),
    [
        ("Redis away", "MulanWorkerDown"),
        ("a worker killed", "MulanRedisUnreachable"),
        ("a worker killed", "MulanModelWithoutWorkers"),
        ("a worker killed", "MulanNoWorkers"),
        ("no worker left", "MulanApiDown"),
    ],
)
def test_it_does_not_fire_that_of_another(seen: Seen, moment: str, alert: str) -> None:
    assert alert not in seen.firing[moment]


def test_comparisons_are_made_to_answer() -> None:
    assert with_answers('a{b!="c"} > 1 and d == 0') == 'a{b!="c"} > bool 1 and d == bool 0'
    assert with_answers('absent(up{job="a"} == 1)') == 'count(up{job="a"} == bool 1)'
