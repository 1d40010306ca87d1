"""Descriptions in the OpenAPI document are understood by a reader who sees each alone."""

from collections.abc import Iterator
from typing import Any

import pytest
from api_double import Service
from wording import FRAGMENTS, faults_of_description, first_word

from service.settings import Settings

DOCUMENT: dict[str, Any] = Service(Settings()).app.openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


def descriptions(node: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every description in a part of the document, with its place; examples are data."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "description" and isinstance(value, str):
                yield place, value
            elif key not in ("example", "examples"):
                yield from descriptions(value, f"{place}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from descriptions(value, f"{place}/{index}")


def check(texts: dict[str, str]) -> None:
    """Each text is a description."""
    wrong = [
        f"{name} {fault}: {text}"
        for name, text in texts.items()
        for fault in faults_of_description(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_description_begins_with_a_fragment() -> None:
    found = list(descriptions(DOCUMENT))
    assert len(found) > 100
    wrong = [f"{place}: {text}" for place, text in found if first_word(text) in FRAGMENTS]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_and_its_parameters_are_described(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"]
    texts = {name: operation.get("description", "")}
    for parameter in operation.get("parameters", ()):
        texts[parameter["name"]] = parameter.get("description", "")
    check(texts)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_and_its_properties_are_described_in_sentences(name: str) -> None:
    texts = {name: SCHEMAS[name].get("description", "")}
    for key, value in SCHEMAS[name].get("properties", {}).items():
        if "description" in value:
            texts[key] = value["description"]
    check(texts)


def test_no_sample_of_a_body_has_invented_names() -> None:
    """Swagger UI makes up `additionalProp1` for an object of any names that has no example."""

    def lacking(node: Any, place: str, told: bool) -> Iterator[str]:
        if isinstance(node, dict):
            told = told or "examples" in node or "example" in node
            if node.get("additionalProperties") not in (None, False) and not told:
                yield place
            for key, value in node.items():
                if key not in ("example", "examples"):
                    yield from lacking(value, f"{place}/{key}", told and key in ("anyOf", "items"))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                yield from lacking(value, f"{place}/{index}", told)

    assert list(lacking(DOCUMENT, "", False)) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_and_its_properties_have_titles(name: str) -> None:
    assert SCHEMAS[name]["title"]
    for key, value in SCHEMAS[name].get("properties", {}).items():
        assert "title" in value or "$ref" in str(value), key
