"""The examples of answers in /openapi.json are what the service answers."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from loadtests.example_answers import answers
from service.api.examples import FOLDER

# Facts of one run or of one machine: ids, times, and what computes how much.
VOLATILE = {"id", "job", "timing", "execution", "runtime", "queued_s", "running_s"}
VOLATILE |= {"created_at", "deadline", "started_at", "finished_at", "next_cursor", "progress"}
VOLATILE |= {"status", "model_stats", "version"}
# Small differences of a network's output on another machine change what is made of it.
LOOSE = {"png", "data", "coefficients", "statistics", "deviations", "p_value", "is_anomaly", "nfe"}
# A solver there may take other steps, and state another error.
LOOSE |= {"ode_error_estimate", "trace_standard_error", "trace_degrees_of_freedom"}
LOOSE |= {"total_standard_error"}


def assert_alike(one: Any, other: Any, place: str = "", error: float = 1e-2) -> None:
    """The same fields, and the same values where they do not depend on the machine.

    Values of a likelihood may differ by a few of the standard errors that it states.
    """
    assert type(one) is type(other), place
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        error = max(error, 4.0 * one.get("total_standard_error", 0.0))
        for name in one.keys() - VOLATILE - LOOSE:
            assert_alike(one[name], other[name], f"{place}.{name}", error)
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_alike(left, right, f"{place}[{index}]", error)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-2, abs=error), place
    else:
        assert one == other, place


def test_examples_are_answers(address: str) -> None:
    found = dict(answers(address))
    kept = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert kept.keys() == found.keys()
    for operation, body in found.items():
        assert_alike(kept[operation], body, operation)


def test_examples_satisfy_their_schemas(address: str) -> None:
    document = httpx.get(f"{address}/openapi.json").json()
    lacking = []
    for operations in document["paths"].values():
        for operation in operations.values():
            answer = next(one for status, one in operation["responses"].items() if status[0] == "2")
            described = answer.get("content", {}).get("application/json")
            if described is None:
                continue
            if "example" not in described:
                lacking.append(operation["operationId"])
                continue
            schema = described["schema"] | {"components": document["components"]}
            jsonschema.validate(described["example"], schema)
    assert lacking == ["show_result"]  # It is one of the waiting endpoints' answers.
