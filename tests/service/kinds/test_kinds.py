"""Kinds of work: each in one folder, told by one name, and another by one line more."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from service.kind import AnyKind
from service.kinds import KINDS

HERE = Path(__file__).parent

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)


@kinds
def test_a_kind_has_one_name(kind: AnyKind) -> None:
    assert kind.package == f"service.kinds.{kind.name}"
    assert kind.task.kind == kind.result.kind == kind.name
    assert KINDS[kind.name] is kind


@kinds
def test_a_kind_has_rows_for_the_engine(kind: AnyKind) -> None:
    assert callable(import_module(f"{kind.package}.rows").Rows)


def flat(request: type[BaseModel]) -> Iterator[str]:
    """The fields as forms and queries have them: `select_fdr` for the field `fdr` of `select`."""
    for name, field in request.model_fields.items():
        inner = [one for one in get_args(field.annotation) if isinstance(one, type(BaseModel))]
        yield from [f"{name}_{within}" for one in inner for within in one.model_fields] or [name]


@kinds
def test_a_kind_that_takes_images_has_them_beside_its_parameters(kind: AnyKind) -> None:
    """Where it needs no images, it may have what stands in their place in a body of JSON."""
    assert ("images" in kind.request.model_fields) == kind.takes_images
    if kind.parameters is not None:
        rest = set(flat(kind.request)) - kind.parameters.model_fields.keys()
        assert kind.parameters.model_fields.keys() <= set(flat(kind.request))
        assert rest == {"images"} or (not kind.least_images and "images" in rest)


@kinds
def test_examples_are_requests(kind: AnyKind) -> None:
    for example in kind.examples.values():
        kind.request.model_validate_json(json.dumps(example["value"]), strict=True)
    for example in kind.job_examples.values():
        assert example["value"]["kind"] == kind.name
        kind.request.model_validate_json(json.dumps(example["value"]["request"]), strict=True)


def test_another_kind_is_one_folder_and_one_line() -> None:
    """The folder is `averages`, the line that of `register_averages`; nothing else knows of it."""
    paths = [HERE, HERE.parent, HERE.parent / "api", HERE.parents[1]]
    arguments = ["-q", "-p", "register_averages", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(HERE / "served_averages.py")],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
    )
    assert done.returncode == 0, done.stdout + done.stderr
