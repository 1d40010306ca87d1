"""The trial in order: the fleet starts, works, loses a worker, and stops.

As a program it has to be the first process of its PID namespace, in a network namespace that is
empty: `python -m deploy.try_images` sees to that.
"""

import secrets
import sys
import tempfile
from functools import partial
from pathlib import Path

from deploy.try_images import checks
from deploy.try_images.compose import Service, read
from deploy.try_images.container import Container
from deploy.try_images.fleet import Fleet, prepared
from deploy.try_images.images import Store
from deploy.try_images.report import Report
from deploy.try_images.tools import TrialError

ROOT = Path(__file__).parents[2]
MODEL = "digits"
JOBS = 12
IMAGES_A_JOB = 32
# Seconds of work for one worker: less than a drain also where it has a fifth of a core.
LONG = {"name": "ddpm", "steps": 100}


def services(key: str = "a-key") -> dict[str, Service]:
    """Read docker-compose.yml, with a key for clients and another for Grafana, which is not run."""
    variables = {"MULAN_API_KEYS": key, "GRAFANA_PASSWORD": secrets.token_urlsafe()}
    return read(ROOT / "docker-compose.yml", variables)


def trial(store: Store, work: Path, picture: Path | None) -> Report:
    """Run every check in order. A fleet that does not come up ends the trial."""
    report, key = Report(), secrets.token_urlsafe()
    with prepared(services(key), store, work, key) as fleet:
        if not (_comes_up(report, fleet) and _works(report, fleet, picture)):
            for container in fleet.containers.values():
                print(f"{container.name}: {container.said()}")
            return report
        _bad_day(report, fleet)
        for name in ("prometheus", "worker-1", "redis"):
            stop = partial(checks.stops, fleet.containers[name])
            report.check(f"{name} stops", stop)
    return report


def _comes_up(report: Report, fleet: Fleet) -> bool:
    """Start what Compose starts, in its order."""
    redis, prometheus = fleet.containers["redis"], fleet.containers["prometheus"]
    redis.start(fleet.network)
    if not _healthy(report, redis):
        return False
    # Prometheus first, for it is ready long before the workers.
    others = [prometheus, *fleet.ours]
    for container in others:
        container.start(fleet.network)
    healthy = [_healthy(report, container) for container in others]
    return all(healthy)


def _healthy(report: Report, container: Container) -> bool:
    return report.check(f"{container.name} is healthy", partial(checks.healthy, container))


def _works(report: Report, fleet: Fleet, picture: Path | None) -> bool:
    """Look at confinement, keys, an image, and Prometheus."""
    for container in fleet.containers.values():
        report.check(f"{container.name} is confined", partial(checks.confined, container))
    for container in fleet.ours:
        report.check(f"{container.name} cannot write", partial(checks.cannot_write, container))
    report.check("a request without a key", partial(checks.refuses_strangers, fleet))
    request = {"model": MODEL, "count": 1, "seed": 7}
    drew = report.check("an image", partial(checks.draws, fleet, request, picture))
    report.check("Prometheus", partial(checks.scraped, fleet, {"api", "worker"}))
    return drew


def _bad_day(report: Report, fleet: Fleet) -> None:
    """Kill a worker, drain the other, drain the API."""
    requests = [{"model": MODEL, "count": IMAGES_A_JOB, "seed": seed} for seed in range(JOBS)]
    killed = partial(checks.survives_a_killed_worker, fleet, requests)
    report.check("worker-1 is killed at work", killed)
    report.check("worker-2 stops at work", partial(checks.worker_drains, fleet, requests))
    report.check(
        "api stops at work", partial(checks.api_drains, fleet, requests[0] | {"solver": LONG})
    )


def main() -> None:
    """Run the trial with a store's images; the exit code tells whether all checks succeeded."""
    folder, *rest = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="mulan-trial-") as work:
        Path(work).chmod(0o755)
        try:
            report = trial(Store(folder), Path(work), rest[0] if rest else None)
        except TrialError as error:
            sys.exit(f"Error: {error}")
    print(report.summary())
    sys.exit(not report.succeeded)


if __name__ == "__main__":
    main()
