"""Draws the boards of deploy/grafana from a real fleet's numbers, while all sorts of things happen.

Six minutes on the shipped checkpoints: clients that draw, score and judge; from the first minute
on images of another kind; at the second a caller with long requests; at the third a worker dies;
at the fourth Redis stands still. Alerts hold five seconds here, not minutes.

    python -m loadtests.dashboards docs/images
"""

import argparse
import signal
import tempfile
import time
from pathlib import Path

import httpx

from loadtests.mixed import Mixed
from loadtests.observed import Fleet, observed
from loadtests.panels import read_boards
from loadtests.pictures import Drawn
from tests.redis_server import RedisServer

MODEL = "digits"
SOLVERS = [
    {"preset": "balanced"},
    {"name": "ddpm", "steps": 50},
    {"name": "rtk-mala", "segments": 6, "inner_steps": 6},
]
LONG = {"model": MODEL, "count": 64, "solver": {"name": "ddpm", "steps": 100}, "timeout_s": 300}
CALLERS, CLIENTS = 4, 5
RATE = "20s"
MINUTE = 60.0
AWAY_S = 15.0


def happen(fleet: Fleet, redis: RedisServer, mixed: Mixed) -> None:
    """The phases that the pictures show, in order."""
    time.sleep(MINUTE)
    mixed.strange()
    time.sleep(MINUTE)
    with httpx.Client(base_url=fleet.address) as client:
        for seed in range(CALLERS):
            job = {"kind": "samples", "request": {**LONG, "seed": seed}}
            client.post("/v1/jobs", json=job).raise_for_status()
    time.sleep(MINUTE)
    fleet.workers[0].kill()
    time.sleep(MINUTE)
    redis.signal(signal.SIGSTOP)
    time.sleep(AWAY_S)
    redis.signal(signal.SIGCONT)
    time.sleep(2 * MINUTE - AWAY_S)


def main() -> None:
    """Make the numbers, then the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        redis = RedisServer(Path(place))
        redis.start()
        fleet_folder = Path(place) / "fleet"
        fleet_folder.mkdir()
        try:
            with observed(fleet_folder, redis.url, hold=5) as (fleet, prometheus):
                began = time.time()
                with Mixed(fleet.address, MODEL, SOLVERS, CLIENTS) as mixed:
                    happen(fleet, redis, mixed)
                    drawn = Drawn(prometheus, began, time.time())
                    for name, panels in read_boards(RATE).items():
                        drawn.board(panels, arguments.folder / f"dashboard-{name}.png")
                        print(f"drawn: {name}")
        finally:
            redis.stop()


if __name__ == "__main__":
    main()
