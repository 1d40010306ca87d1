"""The settings of a process: one frozen object, read once from the environment and the flags."""

import hashlib
import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import limits
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.zoo import ZOO

PREFIX = "MULAN_"
MEMORY = "memory"


class SettingsError(Exception):
    """A setting that is unknown, malformed or refused. The message is one line for an operator."""


def _digests(keys: Any) -> Any:
    """Return the SHA-256 of each comma-separated key, so that the keys themselves are not kept."""
    if not isinstance(keys, str):
        return keys
    stripped = (key.strip() for key in keys.split(","))
    return tuple(hashlib.sha256(key.encode()).digest() for key in stripped if key)


def _rate(text: str) -> str:
    """Check a rate. Raises ValueError."""
    if text:
        limits.parse(text)
    return text


Rate = Annotated[str, AfterValidator(_rate)]


class Settings(BaseSettings):
    """All that a deployment may choose. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    store: str = Field(
        MEMORY,
        pattern=rf"^({MEMORY}$|(rediss?|unix)://)",
        description="The store of jobs: memory, or redis://host:port/number.",
        repr=False,
    )
    lease_s: float = Field(
        30,
        ge=1,
        description="Seconds for which a silent worker keeps the jobs that it has claimed.",
    )
    max_tick_s: float = Field(
        120, gt=0, description="Seconds after which a tick of a worker is taken for a hang."
    )
    max_crashes: int = Field(
        5, ge=1, description="Workers that may die of a job that runs alone before it is given up."
    )
    insecure: bool = Field(
        False, description="Listen on other addresses than loopback without API keys."
    )
    api_keys: Annotated[tuple[bytes, ...], NoDecode, BeforeValidator(_digests)] = Field(
        (), description="Comma-separated API keys, which are kept as SHA-256 digests.", repr=False
    )
    private_docs: bool = Field(False, description="Ask for a key at /docs and /openapi.json too.")
    private_metrics: bool = Field(False, description="Ask for a key at /metrics too.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of a worker's /metrics, /livez and /readyz; 0 takes a free one.",
    )
    models: Path = Field(ZOO, description="Folder of the checkpoint folders.")
    threads: int = Field(
        min(4, os.cpu_count() or 1),
        ge=1,
        le=1024,
        description="CPU threads of the networks; by default one for each core, and at most 4.",
    )
    max_body_bytes: int = Field(16 << 20, ge=1024, description="Bytes of the largest request body.")
    max_images: int = Field(1024, ge=1, le=100_000, description="Images that one request may have.")
    max_image_pixels: int = Field(1 << 20, ge=1, description="Pixels that one PNG may have.")
    max_row_evaluations: int = Field(
        1_000_000, ge=1, description="Row-evaluations that one request may be predicted to cost."
    )
    max_queued_jobs: int = Field(
        256, ge=1, description="Jobs that may be queued; more are refused."
    )
    max_queued_row_evaluations: int = Field(
        10_000_000,
        ge=1,
        description="Predicted row-evaluations that may be queued; more are refused.",
    )
    request_rate: Rate = Field(
        "", description="Rate of requests of one API key, as 60/minute; unlimited by default."
    )
    cost_rate: Rate = Field(
        "", description="Rate of predicted row-evaluations of one API key, as 100000/minute."
    )
    default_timeout_s: float = Field(
        120, gt=0, description="Seconds that a request waits if it names no timeout."
    )
    max_timeout_s: float = Field(
        600, gt=0, description="Seconds of the longest timeout that a request may name."
    )
    retention_s: float = Field(300, ge=0, description="Seconds for which a result is kept.")
    max_retained_jobs: int = Field(256, ge=0, description="Results that are kept.")
    drain_s: float = Field(
        30, ge=0, description="Seconds for which running work may finish after a signal."
    )
    otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://.*)?$",
        description="Collector of traces, http://host:4318; else OTEL_EXPORTER_OTLP_ENDPOINT.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest severity that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Format of the log; auto is text on a terminal and JSON elsewhere."
    )

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not (self.api_keys or self.insecure or _is_loopback(self.host)):
            raise ValueError(
                f"refusing to listen on {self.host} without API keys: "
                f"set {PREFIX}API_KEYS, or accept the risk with --insecure"
            )
        return self


def read_settings(**flags: Any) -> Settings:
    """Read the settings from the environment; a flag that is not None takes precedence.

    Raises SettingsError for an unknown variable of the prefix, and for malformed values.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            raise SettingsError(f"{name}: no such setting")
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(_line(entry) for entry in error.errors())) from error


def _line(error: Any) -> str:
    message: str = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    line = f"{PREFIX}{name.upper()} (--{name.replace('_', '-')}): {message}"
    # A setting without a repr may hold a password.
    return f"{line}, got {error['input']!r}" if Settings.model_fields[name].repr else line


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
