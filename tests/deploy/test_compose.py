"""docker-compose.yml runs what the image can, with settings that there are."""

import re
from typing import Any

import pytest
import yaml
from files import PINNED, compose, listed, longest_stop_s, ours, parse, service_environment, stages
from files import settings_of as read
from tools import ROOT

from service.store.opening import MEMORY

SERVICES = ("api", "worker", "worker-gpu")


def test_these_are_the_services_that_run_the_image() -> None:
    assert tuple(ours()) == SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_each_runs_a_command_of_mulan_from_a_stage_that_its_tag_names(name: str) -> None:
    service = ours()[name]
    assert name.startswith(parse(["mulan", *service["command"]]))
    target = service["build"]["target"]
    assert target in stages()
    assert service["image"] == f"mulan-serve:{target}"


@pytest.mark.parametrize("name", SERVICES)
def test_its_settings_are_settings_and_a_stop_outlasts_the_drain(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read(service_environment(name), monkeypatch)
    assert settings.store != MEMORY
    assert settings.api_keys
    grace = ours()[name]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > longest_stop_s(settings)


def test_the_store_is_the_redis_beside_it_which_keeps_what_it_is_given() -> None:
    redis = compose()["services"]["redis"]
    for name in SERVICES:
        assert service_environment(name)["MULAN_STORE"] == "redis://redis:6379/0"
        assert ours()[name]["depends_on"]["redis"] == {"condition": "service_healthy"}
    assert redis["volumes"] == ["redis:/data"]
    options = redis_options(redis["command"])
    assert (options["appendonly"], options["maxmemory-policy"]) == ("yes", "noeviction")


def test_the_api_is_published_on_loopback_unless_told_otherwise() -> None:
    (port,) = ours()["api"]["ports"]
    listening = service_environment("api")["MULAN_PORT"]
    assert port == f"${{API_ADDRESS:-127.0.0.1:8000}}:{listening}"
    others = [name for name in SERVICES if name != "api" and ours()[name].get("ports")]
    assert not others


def test_workers_are_scraped_under_one_name_whatever_computes() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    found = {
        name: str(place["port"])
        for job in scraped["scrape_configs"]
        for place in job["dns_sd_configs"]
        for name in place["names"]
    }
    assert found == {
        "api": service_environment("api")["MULAN_PORT"],
        "worker": service_environment("worker")["MULAN_METRICS_PORT"],
    }
    assert service_environment("worker-gpu")["MULAN_METRICS_PORT"] == found["worker"]
    assert ours()["worker-gpu"]["networks"] == {"default": {"aliases": ["worker"]}}


def test_the_gpu_is_asked_for_in_its_profile_alone() -> None:
    profiles = {name: service.get("profiles") for name, service in ours().items()}
    assert profiles == {"api": None, "worker": None, "worker-gpu": ["gpu"]}
    assert ours()["worker-gpu"]["build"]["target"] == "cuda"
    (device,) = ours()["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


@pytest.mark.parametrize("name", SERVICES)
def test_it_writes_nowhere_and_may_do_nothing_special(name: str) -> None:
    service = ours()[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_is_mounted_is_there(name: str) -> None:
    mounts = [volume for volume in compose()["services"][name]["volumes"] if volume[0] == "."]
    assert mounts
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert any((ROOT / source).iterdir())
        assert mode == "ro"


def test_every_foreign_image_is_pinned_and_has_a_health_check() -> None:
    foreign = {name: one for name, one in compose()["services"].items() if name not in ours()}
    assert set(foreign) == {"redis", "prometheus", "grafana"}
    for one in foreign.values():
        assert PINNED.search(one["image"])
        assert one["healthcheck"]["test"][0] == "CMD"


def test_what_has_to_be_given_is_in_the_example_and_the_example_gives_no_secret() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    given = dict(line.split("=", 1) for line in listed(ROOT / ".env.example"))
    assert set(re.findall(r"\$\{(\w+)", text)) == set(given)
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert required == {name for name, value in given.items() if not value}
    assert ".env" in listed(ROOT / ".gitignore")


def redis_options(command: list[str]) -> dict[str, Any]:
    """Options of a redis-server's command line."""
    assert command[0] == "redis-server"
    return {
        name.removeprefix("--"): value
        for name, value in zip(command[1::2], command[2::2], strict=True)
    }
