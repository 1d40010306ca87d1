"""The services of a Compose file, as far as the trial needs them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# What the engine takes where a file says nothing.
STOP_GRACE = "10s"
HEALTH = {"interval": "30s", "timeout": "30s", "start_period": "0s", "retries": 3}


class ComposeError(Exception):
    """Says what docker-compose.yml has that cannot be read."""


@dataclass(frozen=True)
class Health:
    """A health check: its command, and when the engine gives a container up."""

    command: tuple[str, ...]
    interval_s: float
    timeout_s: float
    start_period_s: float
    retries: int

    @property
    def given_up_after_s(self) -> float:
        """Return the time by which a container that never answered is unhealthy."""
        return self.start_period_s + self.retries * (self.interval_s + self.timeout_s)


@dataclass(frozen=True)
class Volume:
    """A folder of the repository, or a named volume, and where it is mounted."""

    source: str
    target: str
    read_only: bool

    @property
    def named(self) -> bool:
        """Tell whether the engine makes the folder."""
        return not self.source.startswith((".", "/"))


@dataclass(frozen=True)
class Service:
    """One service as the engine is to run it; `target` is the Dockerfile's, if it builds one."""

    name: str
    image: str
    target: str
    command: tuple[str, ...] | None
    environment: Mapping[str, str]
    user: str | None
    read_only: bool
    tmpfs: tuple[str, ...]
    volumes: tuple[Volume, ...]
    drops_capabilities: bool
    no_new_privileges: bool
    init: bool
    restarts: bool
    stop_grace_s: float
    health: Health | None


def read(path: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """Read every service of a Compose file. Raises ComposeError if a variable has no value."""
    services = yaml.safe_load(path.read_text())["services"]
    return {name: _service(name, _substituted(one, variables)) for name, one in services.items()}


def seconds(text: str) -> float:
    """Return a duration such as 1m30s in seconds. Raises ComposeError."""
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ComposeError(f"{text!r} is no duration: write one such as 1m30s")
    return sum(float(number) * UNIT_S[unit] for number, unit in parts)


def health(declared: Mapping[str, Any]) -> Health:
    """Read a health check, whose command begins with CMD. Raises ComposeError otherwise."""
    kind, *command = declared["test"]
    if kind != "CMD":
        raise ComposeError(f"a health check of the kind {kind} is not run here: write CMD")
    said = {**HEALTH, **declared}
    return Health(
        tuple(command),
        seconds(said["interval"]),
        seconds(said["timeout"]),
        seconds(said["start_period"]),
        int(said["retries"]),
    )


def _service(name: str, one: Mapping[str, Any]) -> Service:
    dropped = one.get("cap_drop", [])
    if dropped not in ([], ["ALL"]):
        raise ComposeError(f"{name}: cap_drop is {dropped}: only [ALL] is understood here")
    return Service(
        name=name,
        image=one["image"],
        target=one.get("build", {}).get("target", ""),
        command=tuple(one["command"]) if "command" in one else None,
        environment=one.get("environment", {}),
        user=one.get("user"),
        read_only=one.get("read_only", False),
        tmpfs=tuple(one.get("tmpfs", ())),
        volumes=tuple(_volume(text) for text in one.get("volumes", ())),
        drops_capabilities=bool(dropped),
        no_new_privileges="no-new-privileges:true" in one.get("security_opt", ()),
        init=one.get("init", False),
        restarts=one.get("restart") in ("always", "unless-stopped"),
        stop_grace_s=seconds(one.get("stop_grace_period", STOP_GRACE)),
        health=health(one["healthcheck"]) if "healthcheck" in one else None,
    )


def _volume(text: str) -> Volume:
    source, target, *mode = text.split(":")
    return Volume(source, target, mode == ["ro"])


def _substituted(value: Any, variables: Mapping[str, str]) -> Any:
    """Put variables into every string, as Compose does."""
    if isinstance(value, Mapping):
        return {key: _substituted(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_substituted(one, variables) for one in value]
    return (
        VARIABLE.sub(lambda found: _value(found, variables), value)
        if isinstance(value, str)
        else value
    )


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, sign, rest = found.groups()
    if given := variables.get(name, ""):
        return given
    if sign == "-":
        return str(rest)
    raise ComposeError(f"{name} has no value: {rest or 'set it'}")
