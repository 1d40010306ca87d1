"""Every registered sampler is described, priced and served."""

from typing import Any

import httpx
import pytest

from models.schema.specs import sampler_spec
from models.solvers import SAMPLERS

TIMEOUT_S = 120.0
MOST_IMAGES = 1024
FEW_EVALUATIONS = 10

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def post(address: str, name: str, count: int, solver: dict[str, Any]) -> httpx.Response:
    body = {"model": "digits", "count": count, "seed": 3, "solver": {"name": name, **solver}}
    return httpx.post(f"{address}/v1/samples", json=body, timeout=TIMEOUT_S)


def parameters(address: str, name: str) -> dict[str, Any]:
    """The schema of each parameter, as the API's document has it."""
    schemas = httpx.get(f"{address}/openapi.json").json()["components"]["schemas"].values()
    named = [each for each in schemas if _constant(each) == name]
    assert len(named) == 1, f"{len(named)} schemas are of {name}"
    assert named[0]["description"]
    found: dict[str, Any] = named[0]["properties"]
    return {field: schema for field, schema in found.items() if field != "name"}


def _constant(schema: dict[str, Any]) -> object:
    return schema.get("properties", {}).get("name", {}).get("const")


@every_sampler
def test_every_parameter_is_described(address: str, name: str) -> None:
    found = parameters(address, name)
    assert found
    assert [field for field, schema in found.items() if not schema.get("description")] == []


@every_sampler
def test_too_dear_a_request_is_told_its_price(address: str, name: str) -> None:
    """The most images, by the most of whatever the sampler counts."""
    schemas = parameters(address, name)
    most = {field: schema["maximum"] for field, schema in schemas.items() if _counts(schema)}
    assert most
    refused = post(address, name, MOST_IMAGES, most)
    assert refused.status_code == 422, refused.text
    assert refused.json()["code"] == "request-too-expensive"
    price = MOST_IMAGES * sampler_spec(name, **most).evaluations
    assert f"{price} row-evaluations" in refused.json()["detail"]


def _counts(schema: dict[str, Any]) -> bool:
    return bool(schema.get("type") == "integer")


@every_sampler
def test_a_request_is_served_at_its_price(address: str, name: str) -> None:
    spec = sampler_spec(name).within(FEW_EVALUATIONS)
    assert spec is not None
    served = post(address, name, 2, spec.model_dump(mode="json", exclude={"name"}))
    assert served.status_code == 200, served.text
    assert served.json()["solver"] == spec.model_dump(mode="json")
    assert [image["nfe"] for image in served.json()["images"]] == [spec.evaluations] * 2
