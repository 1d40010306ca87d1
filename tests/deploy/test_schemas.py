"""Linters and schemas pass on our files, and fail on broken ones."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from files import K8S, OVERLAYS, found, rendered
from tools import ROOT, run, tool

VERSION = "1.33"
KUBECTL = pytest.mark.needs("kubectl")
# Resources of operators, which no schema of Kubernetes itself has.
FOREIGN = {"ScaledObject", "ServiceMonitor"}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = run("hadolint", "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_hadolint_finds_an_image_without_a_version(tmp_path: Path) -> None:
    broken = tmp_path / "Dockerfile"
    text = (ROOT / "Dockerfile").read_text()
    broken.write_text(text.replace("python:3.11.13-slim-bookworm", "python:latest"))
    done = run("hadolint", broken)
    assert done.returncode != 0
    assert "DL3007" in done.stdout


def test_the_compose_file_is_of_its_schema() -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert done.returncode == 0, done.stdout


def test_the_schema_refuses_a_compose_file_with_a_misspelt_word(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    text = (ROOT / "docker-compose.yml").read_text()
    broken.write_text(text.replace("depends_on", "depend_on"))
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", broken)
    assert done.returncode != 0
    assert "depend_on" in done.stdout


@KUBECTL
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_of_its_kubernetes_schema(overlay: str) -> None:
    seen = set()
    for one in rendered(overlay):
        seen.add(one["kind"])
        if one["kind"] not in FOREIGN:
            kubernetes_validate.validate(one, VERSION, strict=True)
    assert seen >= FOREIGN | {"Deployment", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget"}


@KUBECTL
@pytest.mark.parametrize("path", [["replicas"], ["template", "spec", "containers"]])
def test_the_schema_refuses_a_deployment_with_a_wrong_type(path: list[str]) -> None:
    broken = _api()
    place = broken["spec"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "two"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@KUBECTL
def test_the_schema_refuses_a_deployment_with_a_misspelt_word() -> None:
    broken = _api()
    broken["spec"]["template"]["spec"]["securityContexts"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@KUBECTL
def test_kustomize_refuses_a_patch_of_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    for file in (K8S / "base").iterdir():
        (tmp_path / "base" / file.name).write_text(file.read_text())
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "resources: [../base]\npatches:\n  - path: worker.yaml\n"
    )
    patch = (K8S / "overlays" / "gpu" / "worker.yaml").read_text()
    (overlay / "worker.yaml").write_text(patch)
    assert run("kubectl", "kustomize", overlay).returncode == 0
    (overlay / "worker.yaml").write_text(patch.replace("name: worker", "name: wroker", 1))
    assert run("kubectl", "kustomize", overlay).returncode != 0


def test_a_program_that_is_missing_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no-such-tool"):
        tool("no-such-tool")


def _api() -> dict[str, Any]:
    (one,) = found("cpu", "Deployment", "api")
    return deepcopy(one)
