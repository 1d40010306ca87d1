"""The settings of a process: one frozen object, read once from the environment and the flags."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.zoo import ZOO
from service import setting_values as values
from service.hosts import check_hosts, check_secret

PREFIX = "MULAN_"


class SettingsError(Exception):
    """A setting that is unknown, malformed or refused. The message is one line for an operator."""


Rate = Annotated[str, AfterValidator(values.rate)]


class Settings(BaseSettings):
    """All that a deployment may choose. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    store: Annotated[str, AfterValidator(values.store)] = Field(
        values.MEMORY,
        description="Where jobs wait: memory, redis://host:port/number, "
        "redis+cluster://host:port,host:port or redis+sentinel://host:port,host:port/name.",
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
        5, ge=1, description="Workers that a job may kill, running alone, before it is given up."
    )
    insecure: bool = Field(
        False, description="Listen on other addresses than loopback without API keys."
    )
    api_keys: Annotated[tuple[bytes, ...], NoDecode, BeforeValidator(values.digests)] = Field(
        (), description="Comma-separated API keys, which are kept as SHA-256 digests.", repr=False
    )
    private_docs: bool = Field(False, description="Ask for a key at /docs and /openapi.json too.")
    private_metrics: bool = Field(False, description="Ask for a key at /metrics too.")
    playground: bool = Field(True, description="Serve the playground at /.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of a worker's /metrics, /livez and /readyz; 0 takes a free one.",
    )
    models: Path = Field(ZOO, description="Folder of checkpoint folders, or one checkpoint's own.")
    model_control: bool = Field(
        False,
        description="Load and unload models of that folder while the service runs, on requests to "
        "/v2/repository/models; every API key may ask for it. APIs and workers need the "
        "same value.",
    )
    watch_models: bool = Field(
        False, description="Load what is new or changed in that folder while the service runs."
    )
    threads: int = Field(
        min(4, os.cpu_count() or 1),
        ge=1,
        le=1024,
        description="CPU threads of the networks; by default one for each core, and at most 4.",
    )
    runtime: Literal["auto", "onnx", "eager", "cuda-graph"] = Field(
        "auto",
        description="What runs the networks: onnx is ONNX Runtime, eager is PyTorch, cuda-graph is "
        "PyTorch in CUDA graphs; auto takes the fastest that gives eager's numbers.",
    )
    sample_dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Precision of the networks that draw samples; likelihoods and verdicts are "
        "always computed in float32.",
    )
    cache: Annotated[Path | None, BeforeValidator(values.folder)] = Field(
        values.cache(),
        description="Folder in which a worker keeps what it measured of its runtimes; where it is "
        "empty, nothing is kept.",
    )
    devices: Annotated[str, AfterValidator(values.devices)] = Field(
        "all",
        description="Devices that compute, each with an engine of its own: cpu, or cuda:0,cuda:1; "
        "all stands for every CUDA device, or for the CPU where there is none.",
    )
    tick: int = Field(
        0,
        ge=0,
        le=4096,
        description="Price of one tick of an engine, in row-evaluations; 0 stands for 64 on the "
        "CPU and 128 on CUDA devices.",
    )
    max_body_bytes: int = Field(16 << 20, ge=1024, description="Largest request body.")
    max_pending_body_bytes: int = Field(
        64 << 20,
        ge=1024,
        description="Bytes of request bodies in memory that are no jobs yet; beyond, a body of "
        "more than 64 KiB is refused, unless it is the only one.",
    )
    header_timeout_s: float = Field(
        10, gt=0, le=3600, description="How long the header of a request may take to arrive."
    )
    body_timeout_s: float = Field(
        30, gt=0, le=3600, description="How long the body of a request may take to arrive."
    )
    answer_timeout_s: float = Field(
        30, gt=0, le=3600, description="How long a client may go without reading any of its answer."
    )
    max_pending_connections: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Connections that have yet to send a whole request or to read an answer, idle "
        "ones among them; beyond, the one that has waited longest is closed.",
    )
    max_images: int = Field(1024, ge=1, le=100_000, description="Most images in one request.")
    max_image_pixels: int = Field(1 << 20, ge=1, description="Most pixels in one PNG.")
    max_photograph_pixels: int = Field(
        32 << 20, ge=1, description="Most pixels in one photograph, before it is scaled."
    )
    sources: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(values.listed), AfterValidator(values.sources)
    ] = Field(
        (),
        description="Comma-separated names of cameras or lines that requests for verdicts may give "
        "as their source; metrics are kept for each. APIs and workers need the same value.",
    )
    callback_hosts: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(values.listed), AfterValidator(check_hosts)
    ] = Field(
        (),
        description="Comma-separated hosts that a job's `callback_url` may name: names, "
        ".example.com for all names below it, and addresses or networks as 10.0.0.0/8, without "
        "which private ones are never called. All APIs need the same value; by default none.",
    )
    callback_secret: Annotated[str, AfterValidator(check_secret)] = Field(
        "",
        description="Secret by which callbacks are signed: whsec_ and base64 of 24 to 64 bytes.",
        repr=False,
    )
    max_row_evaluations: int = Field(
        1_000_000,
        ge=1,
        description="Highest predicted price of one request, in row-evaluations: "
        "images x draws x (1 + probes) x steps.",
    )
    max_queued_jobs: int = Field(
        256,
        ge=1,
        description="Jobs that may wait; more are refused. A key that has less than its share of "
        "them waiting is let in all the same.",
    )
    max_queued_row_evaluations: int = Field(
        10_000_000,
        ge=1,
        description="Predicted price of all jobs that may wait, in row-evaluations; more are "
        "refused.",
    )
    request_rate: Rate = Field(
        "", description="Rate of requests of one API key, as 60/minute; unlimited by default."
    )
    cost_rate: Rate = Field(
        "",
        description="Predicted price of what a key may ask for, in row-evaluations, as "
        "100000/minute.",
    )
    default_timeout_s: float = Field(
        120, gt=0, description="Wait of a request that names no `timeout_s`."
    )
    max_timeout_s: float = Field(
        600,
        gt=0,
        description="Longest wait: a larger `timeout_s` counts as this. A job of POST /v1/jobs "
        "that names none has so long, from its admission to its end.",
    )
    retention_s: float = Field(300, ge=0, description="How long a result is kept.")
    max_retained_jobs: int = Field(
        10_000, ge=0, description="Results that are kept for one API key; beyond, its oldest go."
    )
    max_retained_bytes: int = Field(
        512 << 20,
        ge=0,
        description="Size of all results that are kept; beyond, the oldest go of the API key that "
        "has most.",
    )
    drain_s: float = Field(
        30, ge=0, description="How long a process that stops lets running work go on."
    )
    otlp_endpoint: Annotated[str, AfterValidator(values.collector)] = Field(
        "",
        description="Collector of traces, as http://host:4318; left out, "
        "OTEL_EXPORTER_OTLP_ENDPOINT names it.",
        repr=False,
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
                "refusing to listen past loopback without API keys: "
                f"set {PREFIX}API_KEYS, or accept the risk with --insecure"
            )
        if self.callback_hosts and not self.callback_secret:
            raise ValueError(
                f"calls to {PREFIX}CALLBACK_HOSTS have to be signed: set {PREFIX}CALLBACK_SECRET"
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
        # The cause holds the values, and a traceback would show them.
        entries = error.errors(include_url=False, include_input=False)
        raise SettingsError("; ".join(map(_line, entries))) from None


def _line(error: Any) -> str:
    """One line about a wrong setting, without its value, which may be a password by mistake."""
    message: str = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    return f"{PREFIX}{name.upper()} (--{name.replace('_', '-')}): {message}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
