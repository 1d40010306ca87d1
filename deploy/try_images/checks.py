"""Checks of a running fleet. Each returns what it saw, or raises TrialError."""

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from deploy.try_images.container import Container
from deploy.try_images.fleet import Fleet
from deploy.try_images.tools import TrialError

PATIENCE_S = 180.0
# By then a request is admitted, and one of seconds has not ended.
ADMITTED_S = 0.5
PNG = b"\x89PNG\r\n\x1a\n"
# What the runtime mounts in every container.
SYSTEM = ("/proc", "/dev", "/sys")


def healthy(container: Container) -> str:
    """Wait for a container's own health check."""
    ready_s = container.wait_healthy()
    spent_s = container.processor_s()
    return f"ready {ready_s:.1f} s after its start, {spent_s:.1f} s of processor time"


def confined(container: Container) -> str:
    """Look at the user, the capabilities and the mounts of every process in a container."""
    service = container.service
    for pid in container.pids():
        about = _status(pid)
        if about["Uid"].split()[0] != str(container.user[0]):
            raise TrialError(f"process {pid} runs as user {about['Uid'].split()[0]}")
        if service.drops_capabilities and int(about["CapBnd"], 16):
            raise TrialError(f"process {pid} may get the capabilities {about['CapBnd']}")
        if service.no_new_privileges and about["NoNewPrivs"] != "1":
            raise TrialError(f"process {pid} may get new privileges")
    writable = set(_writable(container.pid))
    root = set() if service.read_only else {"/"}
    expected = (
        root | set(service.tmpfs) | {one.target for one in service.volumes if not one.read_only}
    )
    if writable != expected:
        raise TrialError(f"writable are {sorted(writable)}, not {sorted(expected)}")
    return f"user {container.user[0]}, writable: {', '.join(sorted(writable))}"


def cannot_write(container: Container) -> str:
    """Try to write as the container's user: only its tmpfs takes a file."""
    program = (
        "import os, sys\n"
        "def writes(folder):\n"
        "    try: open(os.path.join(folder, 'probe'), 'w').close()\n"
        "    except OSError: return False\n"
        "    os.remove(os.path.join(folder, 'probe')); return True\n"
        "print(*(one for one in sys.argv[1:] if writes(one)))"
    )
    folders = ["/", "/opt/venv", "/etc", "/var/tmp", "/home", *container.service.tmpfs]
    took = container.run("python", "-c", program, *folders).split()
    if took != list(container.service.tmpfs):
        raise TrialError(f"files can be written in {took}")
    return f"of {len(folders)} folders {', '.join(took)} alone"


def refuses_strangers(fleet: Fleet) -> str:
    """Ask for a picture without a key."""
    status = fleet.api.post("/v1/samples", json={}, headers={"Authorization": ""}).status_code
    return _is(status, 401)


def draws(fleet: Fleet, request: dict[str, Any], picture: Path | None) -> str:
    """Draw one image, twice the same, and keep it if a file is named."""
    first, second = (drawn(fleet, request) for _ in range(2))
    if first != second:
        raise TrialError("the same request gave other bytes")
    if picture:
        picture.write_bytes(first[0])
    return f"{request['model']}, {len(first)} PNG of {len(first[0])} bytes, the same twice"


def drawn(fleet: Fleet, request: dict[str, Any]) -> list[bytes]:
    """Draw images and return their PNG files."""
    return _pictures(fleet.api.post("/v1/samples", json=request).raise_for_status().json())


def queue(fleet: Fleet, requests: list[dict[str, Any]]) -> list[str]:
    """Queue jobs and wait until some of them run; their ids."""
    ids = []
    for request in requests:
        answer = fleet.api.post("/v1/jobs", json={"kind": "samples", "request": request})
        ids.append(str(answer.raise_for_status().json()["id"]))
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        if "running" in (_state(fleet, one) for one in ids):
            return ids
        time.sleep(0.05)
    raise TrialError("no job began")


def results(fleet: Fleet, ids: list[str]) -> list[list[bytes]]:
    """Wait for jobs and return their images. Raises TrialError unless all succeed."""
    ends = time.monotonic() + PATIENCE_S
    for one in ids:
        while (state := _state(fleet, one)) in ("queued", "running"):
            if time.monotonic() > ends:
                raise TrialError(f"job {one} is {state} after {PATIENCE_S:.0f} s")
            time.sleep(0.2)
        if state != "succeeded":
            raise TrialError(f"job {one} {state}")
    got = (fleet.api.get(f"/v1/jobs/{one}/result").raise_for_status().json() for one in ids)
    return [_pictures(one) for one in got]


def survives_a_killed_worker(fleet: Fleet, requests: list[dict[str, Any]]) -> str:
    """Kill a worker that computes, start it again as the restart policy says, and compare every
    image with the same request made in quiet."""
    ids, worker = queue(fleet, requests), fleet.containers["worker-1"]
    worker.signal("KILL")
    _is(worker.wait(10)[0], 128 + 9)
    if not worker.service.restarts:
        raise TrialError("its restart policy leaves it dead")
    worker.start(fleet.network)
    images = results(fleet, ids)
    done_s = time.monotonic() - worker.started
    if images != [drawn(fleet, request) for request in requests]:
        raise TrialError("a job gave other images than in quiet")
    return f"{len(ids)} jobs done after {done_s:.1f} s, none changed; {healthy(worker)}"


def worker_drains(fleet: Fleet, requests: list[dict[str, Any]]) -> str:
    """Stop a worker that computes, as the engine does, and look for its jobs."""
    ids = queue(fleet, requests)
    said = stops(fleet.containers["worker-2"])
    results(fleet, ids)
    return f"{said}; {len(ids)} jobs done"


def api_drains(fleet: Fleet, request: dict[str, Any]) -> str:
    """Stop the API while a client waits for images; the client still gets them."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(drawn, fleet, request)
        time.sleep(ADMITTED_S)
        if waiting.done():
            raise TrialError(f"the request ended before the stop: {waiting.exception()}")
        said = stops(fleet.containers["api"])
        return f"{said}; the client got {len(waiting.result())} images"


def stops(container: Container) -> str:
    """Send SIGTERM, and wait as long as Compose does before it kills."""
    container.signal("TERM")
    code, took_s = container.wait(container.service.stop_grace_s)
    return f"{_is(code, 0, 'exit code')} {took_s:.1f} s after SIGTERM"


def scraped(fleet: Fleet, services: set[str]) -> str:
    """Wait until Prometheus has found every container by DNS and scraped it."""
    ends = time.monotonic() + PATIENCE_S
    wanted = sum(one.service.name in services for one in fleet.containers.values())
    while time.monotonic() < ends:
        data = fleet.prometheus.get("/api/v1/targets").raise_for_status().json()["data"]
        up = sorted(one["scrapeUrl"] for one in data["activeTargets"] if one["health"] == "up")
        if len(up) == wanted:
            groups = (
                fleet.prometheus.get("/api/v1/rules").raise_for_status().json()["data"]["groups"]
            )
            return f"{len(up)} targets up, {len(groups)} groups of rules loaded"
        time.sleep(1)
    raise TrialError(f"{len(up)} of {wanted} targets are up")


def _is(value: int, expected: int, what: str = "status") -> str:
    if value != expected:
        raise TrialError(f"{what} {value}, not {expected}")
    return f"{what} {value}"


def _state(fleet: Fleet, job: str) -> str:
    return str(fleet.api.get(f"/v1/jobs/{job}").raise_for_status().json()["status"])


def _pictures(answer: dict[str, Any]) -> list[bytes]:
    images = [base64.b64decode(one["png"]) for one in answer["images"]]
    if not all(one.startswith(PNG) for one in images):
        raise TrialError("an image is no PNG")
    return images


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _writable(pid: int) -> list[str]:
    """Return the mounts that a process may write to, but for the runtime's."""
    rows = (line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
    found = ((row[4], row[5].split(",")) for row in rows)
    return [
        place
        for place, options in found
        if "rw" in options and not any(f"{place}/".startswith(f"{one}/") for one in SYSTEM)
    ]
