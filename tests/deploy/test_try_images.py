"""The trial of the images runs what docker-compose.yml and the Dockerfile say."""

import itertools
import json
import re
from pathlib import Path

import pytest
from files import compose, image_command, instructions, ours, stages
from tools import ROOT

from deploy.try_images.bundle import INIT, Mount, command_of, configuration, user_of
from deploy.try_images.compose import ComposeError, Service, Volume, read, seconds
from deploy.try_images.images import STAND_INS, Image, Sources, base_of, read_image
from deploy.try_images.trial import services

SERVICES = ("redis", "api", "worker", "worker-gpu", "prometheus", "grafana")


def image(health: dict[str, object] | None = None) -> Image:
    """What `buildah inspect` tells of the image, by the Dockerfile."""
    program, *command = image_command()
    (user,) = set(instructions("USER"))
    config = {"User": user, "Entrypoint": [program], "Cmd": command, "Env": ["PATH=/bin"]}
    return read_image({**config, "WorkingDir": "/tmp", "Healthcheck": health})


def files(folder: Path) -> Path:
    """Files of an image with two users."""
    (folder / "etc").mkdir()
    (folder / "etc/passwd").write_text("root:x:0:0::/root:\nredis:x:101:102::/:\n")
    (folder / "etc/group").write_text("root:x:0:\nredis:x:102:\n")
    return folder


def service(text: str, folder: Path) -> Service:
    """The only service of a Compose file."""
    path = folder / "compose.yml"
    path.write_text(f"services:\n  one: {{image: some, {text}}}\n")
    return read(path, {"GIVEN": "value"})["one"]


@pytest.mark.parametrize(
    ("text", "expected"), [("60s", 60), ("1m30s", 90), ("300ms", 0.3), ("1.5h", 5400)]
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "60", "s", "1m 30s", "1d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ComposeError, match="no duration"):
        seconds(text)


def test_variables_are_put_in_as_compose_does(tmp_path: Path) -> None:
    text = 'environment: {A: "${GIVEN:-else}", B: "${NONE:-else}", C: "x${GIVEN}${NONE:-}"}'
    assert service(text, tmp_path).environment == {"A": "value", "B": "else", "C": "xvalue"}
    with pytest.raises(ComposeError, match="NONE has no value: say it"):
        service('environment: {A: "${NONE:?say it}"}', tmp_path)


@pytest.mark.parametrize("text", ["cap_drop: [KILL]", 'healthcheck: {test: [CMD-SHELL, "x"]}'])
def test_what_is_not_understood_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match="here"):
        service(text, tmp_path)


def test_every_service_of_ours_is_read() -> None:
    found = services("secret")
    assert tuple(found) == SERVICES
    for name, one in ours().items():
        mine = found[name]
        assert (mine.image, mine.target) == (one["image"], one["build"]["target"])
        assert mine.command == tuple(one["command"])
        assert mine.environment["MULAN_API_KEYS"] == "secret"
        assert (mine.read_only, mine.tmpfs, mine.init) == (True, ("/tmp",), True)
        assert mine.drops_capabilities
        assert mine.no_new_privileges
        assert mine.restarts
        assert f"{mine.stop_grace_s:.0f}s" == one["stop_grace_period"]
        assert mine.health is None
    redis = found["redis"]
    assert redis.health is not None
    assert ["CMD", *redis.health.command] == compose()["services"]["redis"]["healthcheck"]["test"]
    assert redis.health.given_up_after_s == 300 + 5 * (5 + 3)
    assert redis.volumes == (Volume("redis", "/data", read_only=False),)
    mounted = found["prometheus"].volumes
    assert mounted[0] == Volume("./deploy/prometheus", "/etc/prometheus", read_only=True)
    assert [one.named for one in mounted] == [False, True]


def test_a_container_is_as_confined_as_compose_says(tmp_path: Path) -> None:
    worker, folder = services()["worker"], files(tmp_path)
    mount = Mount(Path("/some/tini"), INIT, read_only=True)
    user = user_of(worker, image(), folder)
    said = configuration(worker, image(), folder, user, "worker-1", [mount])
    process = said["process"]
    assert process["args"] == [INIT, "--", "mulan", "worker"]
    assert process["user"] == {"uid": 10001, "gid": 10001}
    assert not any(process["capabilities"].values())
    assert process["noNewPrivileges"]
    assert "MULAN_METRICS_PORT=9100" in process["env"]
    assert said["root"] == {"path": str(folder), "readonly": True}
    mounts = {one["destination"]: one for one in said["mounts"]}
    assert mounts["/tmp"]["type"] == "tmpfs"
    assert "noexec" in mounts["/tmp"]["options"]
    assert (mounts[INIT]["source"], mounts[INIT]["options"][-1]) == ("/some/tini", "ro")
    json.dumps(said)


def test_a_user_is_found_by_name_and_keeps_its_group(tmp_path: Path) -> None:
    folder = files(tmp_path)
    assert user_of(services()["redis"], image(), folder) == (101, 102)


def test_a_service_without_a_command_runs_the_image_s(tmp_path: Path) -> None:
    assert command_of(service("init: false", tmp_path), image()) == image_command()


def test_an_image_s_health_check_is_read() -> None:
    (declared,) = instructions("HEALTHCHECK")
    options = dict(re.findall(r"--([\w-]+)=(\S+)", declared))
    times = {name: seconds(options[name]) for name in ("interval", "timeout", "start-period")}
    config = {
        "Test": ["CMD", *json.loads(declared.partition("CMD ")[2])],
        "Interval": times["interval"] * 1e9,
        "Timeout": times["timeout"] * 1e9,
        "StartPeriod": times["start-period"] * 1e9,
        "Retries": int(options["retries"]),
    }
    health = image(config).health
    assert health is not None
    assert (health.interval_s, health.timeout_s, health.start_period_s) == tuple(times.values())
    assert health.command[0] == "python"


def test_what_the_trial_passes_to_a_build_is_an_argument_of_the_dockerfile() -> None:
    everything = Sources("base:1", "https://index", Path("/wheels"), Path("/bundle.pem"))
    options = everything.options()
    passed = {
        value.partition("=")[0]
        for option, value in itertools.pairwise(options)
        if option == "--build-arg"
    }
    declared = {word.partition("=")[0] for value in instructions("ARG") for word in value.split()}
    assert passed <= declared
    assert Sources().options() == []


def test_there_is_a_stand_in_for_every_image_that_is_not_ours() -> None:
    base = base_of(ROOT / "Dockerfile")
    assert base == stages()["base"]
    for tag in (base, services()["redis"].image, services()["prometheus"].image):
        assert tag.partition(":")[0] in STAND_INS
