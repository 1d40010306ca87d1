"""Ask the service for the answers that /openapi.json has as examples, and write them.

The service is `mulan serve` with the shipped checkpoints; the requests are the first examples of
each operation. A test asks for the same answers and compares them with the files.

    python -m loadtests.example_answers
"""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx

from loadtests.local import running_service
from service.api.examples import FOLDER
from service.api.open_inference.documentation import EXAMPLES
from service.kinds import KINDS

TIMEOUT_S = 300.0
MODEL = "digits"
FLAGS = "--threads", "1", "--model-control"


class Answer(NamedTuple):
    """An answer, and the operation that gave it."""

    operation: str
    body: Any


def answers(address: str) -> Iterator[Answer]:
    """Yield an example of each operation's answer that is JSON."""
    with httpx.Client(base_url=address, timeout=TIMEOUT_S) as client:
        for kind in KINDS.values():
            request = kind.examples["default"]["value"]
            yield _ask(client, f"create_{kind.name}", f"/v1/{kind.name}", request)
        queued = KINDS["samples"].job_examples["default"]["value"]
        job = _ask(client, "create_job", "/v1/jobs", queued)
        yield job
        path = f"/v1/jobs/{job.body['id']}"
        while client.get(path).json()["status"] in ("queued", "running"):
            time.sleep(0.1)
        yield _ask(client, "show_job", path)
        yield _ask(client, "list_jobs", "/v1/jobs?limit=1")
        for operation, path in {
            "show_model": f"/v1/models/{MODEL}",
            "show_calibration": f"/v1/models/{MODEL}/calibration",
            "livez": "/livez",
            "readyz": "/readyz",
            "show_inference_server": "/v2",
            "inference_live": "/v2/health/live",
            "inference_ready": "/v2/health/ready",
            "show_inference_model": f"/v2/models/{MODEL}",
            "show_inference_version": f"/v2/models/{MODEL}/versions/1",
            "show_inference_config": f"/v2/models/{MODEL}/config",
            "show_inference_version_config": f"/v2/models/{MODEL}/versions/1/config",
            "inference_model_ready": f"/v2/models/{MODEL}/ready",
            "inference_version_ready": f"/v2/models/{MODEL}/versions/1/ready",
        }.items():
            yield _ask(client, operation, path)
        # The list is long, and one model of it tells as much.
        one = _ask(client, "show_model", f"/v1/models/{MODEL}")
        yield Answer("list_models", {"models": [one.body]})
        tensors = EXAMPLES["samples"]["value"]
        path = f"/v2/models/{MODEL}/infer"
        yield _ask(client, "create_inference", path, tensors)
        path = f"/v2/models/{MODEL}/versions/1/infer"
        yield _ask(client, "create_version_inference", path, tensors)
        statistics = _ask(client, "show_statistics", f"/v2/models/{MODEL}/stats")
        yield statistics
        yield statistics._replace(operation="show_version_statistics")
        yield statistics._replace(operation="show_all_statistics")
        yield _ask(client, "list_inference_models", "/v2/repository/index", {})
        for operation in "unload", "load":
            path = f"/v2/repository/models/{MODEL}/{operation}"
            yield _ask(client, f"{operation}_model", path, {})


def _ask(client: httpx.Client, operation: str, path: str, body: Any = None) -> Answer:
    response = client.get(path) if body is None else client.post(path, json=body)
    response.raise_for_status()
    return Answer(operation, response.json())


def main() -> None:
    """Write every answer into its file."""
    FOLDER.mkdir(exist_ok=True)
    with running_service(*FLAGS, ready_within_s=TIMEOUT_S) as address:
        for operation, body in answers(address):
            path = FOLDER / f"{operation}.json"
            path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
