"""The Kubernetes objects run what the image can, agree with each other, and are locked down."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from files import (
    OVERLAYS,
    PINNED,
    compose,
    container,
    found,
    longest_stop_s,
    parse,
    pod_environment,
    rendered,
    settings_of,
    stages,
    templates,
)
from test_compose import redis_options
from test_observability import documented
from tools import ROOT

from service.api import health, metrics

pytestmark = pytest.mark.needs("kubectl")

OURS = ("api", "worker")
CAPACITY = (ROOT / "docs" / "capacity.md").read_text()
BOTH = pytest.mark.parametrize("overlay", OVERLAYS)
EACH = pytest.mark.parametrize("name", OURS)


@BOTH
@EACH
def test_its_command_is_one_of_mulan_and_its_image_a_stage(overlay: str, name: str) -> None:
    one = container(overlay, name)
    assert parse(["mulan", *one["args"]]) == name
    image, _, tag = one["image"].partition(":")
    assert image == "mulan-serve"
    assert tag in stages()
    assert tag == ("cuda" if (overlay, name) == ("gpu", "worker") else "cpu")


@BOTH
@EACH
def test_its_settings_are_settings_and_the_grace_outlasts_the_drain(
    overlay: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(pod_environment(overlay, name), monkeypatch)
    hook = container(overlay, name).get("lifecycle", {"preStop": {"exec": {"command": ["", "0"]}}})
    before = float(hook["preStop"]["exec"]["command"][1])
    grace = templates(overlay)[name]["spec"]["terminationGracePeriodSeconds"]
    assert grace > before + longest_stop_s(settings)


@BOTH
@EACH
def test_probes_ask_routes_of_the_port_that_is_listened_on(
    overlay: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(pod_environment(overlay, name), monkeypatch)
    listening = settings.port if name == "api" else settings.metrics_port
    one = container(overlay, name)
    (port,) = one["ports"]
    assert port["containerPort"] == listening
    routes = {route.path for module in (health, metrics) for route in module.router.routes}
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert one[probe]["httpGet"] == {"path": path, "port": port["name"]}
        assert path in routes
    annotations = templates(overlay)[name]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(listening)
    (service_port,) = found(overlay, "Service", name)[0]["spec"]["ports"]
    assert service_port["targetPort"] == port["name"]
    assert service_port["port"] == listening
    (monitor,) = found(overlay, "ServiceMonitor", name)
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] == service_port["name"]
    assert endpoint["path"] == annotations["prometheus.io/path"]
    assert endpoint["path"] in routes


@BOTH
def test_the_store_is_the_redis_that_is_deployed(overlay: str) -> None:
    (redis,) = found(overlay, "Service", "redis")
    place = f"redis://redis:{redis['spec']['ports'][0]['port']}/0"
    assert {pod_environment(overlay, name)["MULAN_STORE"] for name in OURS} == {place}
    (state,) = found(overlay, "StatefulSet")
    assert state["spec"]["serviceName"] == "redis"
    assert state["spec"]["volumeClaimTemplates"]


@BOTH
def test_redis_is_the_one_of_the_compose_file_and_keeps_what_it_is_given(overlay: str) -> None:
    one, beside = container(overlay, "redis"), compose()["services"]["redis"]
    assert one["image"] == beside["image"]
    assert PINNED.search(one["image"])
    ours, theirs = redis_options(one["args"]), redis_options(beside["command"])
    assert (ours["appendonly"], ours["maxmemory-policy"]) == ("yes", "noeviction")
    assert {**ours, "maxmemory": ""} == {**theirs, "maxmemory": ""}
    gigabytes = int(one["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert int(ours["maxmemory"].removesuffix("gb")) < gigabytes


@BOTH
@pytest.mark.parametrize(
    ("says", "code", "alive", "ready"),
    [
        ("PONG", 0, True, True),
        ("LOADING Redis is loading the dataset in memory", 0, True, False),
        ("Could not connect to Redis at 127.0.0.1:6379: Connection refused", 1, False, False),
    ],
)
def test_redis_is_alive_and_not_ready_while_it_loads(
    overlay: str, says: str, code: int, alive: bool, ready: bool, tmp_path: Path
) -> None:
    stand_in = tmp_path / "redis-cli"
    stand_in.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    stand_in.chmod(0o755)

    def succeeds(command: list[str]) -> bool:
        done = subprocess.run(command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
        return done.returncode == 0

    one, beside = container(overlay, "redis"), compose()["services"]["redis"]["healthcheck"]
    assert succeeds(one["livenessProbe"]["exec"]["command"]) == alive
    assert succeeds(one["readinessProbe"]["exec"]["command"]) == ready
    assert beside["test"] == ["CMD", *one["readinessProbe"]["exec"]["command"]]


@BOTH
@EACH
def test_a_pod_that_is_not_ready_does_not_hold_up_a_drain(overlay: str, name: str) -> None:
    (budget,) = found(overlay, "PodDisruptionBudget", name)
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@BOTH
def test_names_may_be_asked_of_the_cluster_and_of_a_cache_on_the_node(overlay: str) -> None:
    (_, names) = found(overlay, "NetworkPolicy", "fleet-to-redis")[0]["spec"]["egress"]
    assert {(port["protocol"], port["port"]) for port in names["ports"]} == {
        ("UDP", 53),
        ("TCP", 53),
    }
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in names["to"]
    assert len(names["to"]) == 2


@BOTH
@pytest.mark.parametrize("name", [*OURS, "redis"])
def test_every_pod_is_locked_down(overlay: str, name: str) -> None:
    pod, one = templates(overlay)[name]["spec"], container(overlay, name)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    # Variables of services in the namespace may look like settings.
    assert pod["enableServiceLinks"] is False
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert one["resources"]["requests"].keys() >= {"cpu", "memory"}
    assert "memory" in one["resources"]["limits"]


@BOTH
def test_keys_come_from_a_secret_that_no_file_holds(overlay: str) -> None:
    assert not found(overlay, "Secret")
    for name in OURS:
        (entry,) = (e for e in container(overlay, name)["env"] if e["name"] == "MULAN_API_KEYS")
        assert entry["valueFrom"]["secretKeyRef"] == {"name": "api-keys", "key": "MULAN_API_KEYS"}


@BOTH
def test_every_pod_is_under_a_policy_and_redis_lets_only_the_fleet_in(overlay: str) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in found(overlay, "NetworkPolicy")}
    labels = {name: one["metadata"]["labels"] for name, one in templates(overlay).items()}
    assert policies["nothing"]["policyTypes"] == ["Ingress", "Egress"]
    for name in (*OURS, "redis"):
        assert selects(policies["nothing"]["podSelector"], labels[name])
        assert selects(policies[name]["podSelector"], labels[name])
        (port,) = container(overlay, name)["ports"]
        (rule,) = policies[name]["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    (source,) = policies["redis"]["ingress"][0]["from"]
    admitted = {name for name in labels if selects(source["podSelector"], labels[name])}
    assert admitted == set(OURS)
    leaving = policies["fleet-to-redis"]
    assert {n for n in labels if selects(leaving["podSelector"], labels[n])} == set(OURS)
    assert selects(leaving["egress"][0]["to"][0]["podSelector"], labels["redis"])


@BOTH
@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "ServiceMonitor"])
@EACH
def test_what_selects_pods_selects_them(overlay: str, kind: str, name: str) -> None:
    (one,) = found(overlay, kind, name)
    selector = one["spec"]["selector"]
    wanted = selector if kind == "Service" else selector["matchLabels"]
    assert wanted
    labels = templates(overlay)[name]["metadata"]["labels"]
    if kind == "ServiceMonitor":
        (service,) = found(overlay, "Service", name)
        labels = service["metadata"]["labels"]
    assert wanted.items() <= labels.items()


@BOTH
def test_keda_has_the_number_of_workers_and_never_makes_it_none(overlay: str) -> None:
    (scaled,), (worker,) = found(overlay, "ScaledObject"), found(overlay, "Deployment", "worker")
    assert scaled["spec"]["scaleTargetRef"] == {"name": worker["metadata"]["name"]}
    assert "replicas" not in worker["spec"]
    assert 1 <= scaled["spec"]["minReplicaCount"] < scaled["spec"]["maxReplicaCount"]
    for trigger in scaled["spec"]["triggers"]:
        assert trigger["type"] == "prometheus"
        (name,) = re.findall(r"mulan_\w+", trigger["metadata"]["query"])
        assert name in documented()
        assert float(trigger["metadata"]["threshold"]) > 0


@BOTH
def test_a_prometheus_without_answers_takes_no_worker_away(overlay: str) -> None:
    (scaled,) = found(overlay, "ScaledObject")
    assert scaled["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"
    for trigger in scaled["spec"]["triggers"]:
        # Else an empty answer is a zero.
        assert trigger["metadata"]["ignoreNullValues"] == "false"


def test_a_worker_that_has_all_it_can_do_is_past_its_threshold_whatever_it_does() -> None:
    """By docs/capacity.md, what full ticks of `digits` take: 64 rows, or as many as 64 pay for."""
    table = re.search(r"^\| `digits` .*?(?=^\| `mnist`)", CAPACITY, re.MULTILINE | re.DOTALL)
    assert table
    rows = [[cell.strip() for cell in line.split("|")[2:6]] for line in table[0].splitlines()]
    milliseconds = {int(row[0]): row[1:] for row in rows}
    full = ((64, 0), (32, 1), (16, 2))
    work = {
        probes: size * (1 + probes) / float(milliseconds[size][probes]) * 1e3
        for size, probes in full
    }
    assert 1490 < work[0] < 1510
    for trigger in found("cpu", "ScaledObject")[0]["spec"]["triggers"]:
        if "mulan_work_total" in trigger["metadata"]["query"]:
            threshold = float(trigger["metadata"]["threshold"])
    assert threshold == pytest.approx(0.5 * work[0], rel=0.01)
    assert min(work.values()) > 1.5 * threshold
    # What would not do: evaluations of rows, whatever their probes.
    assert work[1] / 2 < threshold
    assert work[2] / 3 < threshold


def test_a_gpu_is_asked_for_where_there_is_one_and_nowhere_else() -> None:
    gpu, cpu = templates("gpu")["worker"]["spec"], templates("cpu")["worker"]["spec"]
    assert container("gpu", "worker")["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert gpu["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert gpu["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert "nodeSelector" not in cpu
    assert "nvidia.com/gpu" not in str(rendered("cpu"))


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector holds of labels."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(term["key"]) in term["values"] for term in selector.get("matchExpressions", ())
    )
