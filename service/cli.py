"""The command `mulan`. Each of its commands imports what it needs when it runs."""

import importlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from models.cli.lazy import LazyGroup
from service import background
from service.errors import ServeError
from service.settings import Settings, SettingsError, read_settings
from service.telemetry import logs

_BEGAN = time.monotonic()
# Other users of a machine can read the arguments of a process.
_BY_ENVIRONMENT_ALONE = frozenset({"api_keys", "callback_secret"})

_URL = re.compile(r"\w+://.*", re.DOTALL)


class _Commands(LazyGroup):
    """Hides URLs in messages about wrong usage: such a message often ends in a log, and the URL of
    a Redis holds a password."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _without_urls():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _without_urls():
            return super().invoke(ctx)


@contextmanager
def _without_urls() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        message = error.format_message()
        if _URL.search(message):
            raise click.UsageError(_URL.sub("a URL...", message), error.ctx) from None
        raise


main = _Commands(
    name="mulan",
    help="Serve MULAN diffusion models: images, likelihoods and anomaly verdicts over HTTP.",
    commands_at={
        "models": "models.cli:models",
        "jobs": "service.jobs_cli:jobs",
        "profile": "service.profile.cli:profile",
    },
)
click.version_option(package_name="mulan-serve")(main)


class _MisusedError(click.ClickException):
    exit_code = 2


def _settings_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for each setting to a command; without the flag, the environment decides."""
    for name, field in reversed(Settings.model_fields.items()):
        if name in _BY_ENVIRONMENT_ALONE:
            continue
        flag = f"--{name.replace('_', '-')}"
        default = "" if field.default == () else field.default
        note = f"{field.description} [{default}]"
        is_flag = field.annotation is bool
        if is_flag and field.default:
            flag = f"{flag}/--no-{flag.removeprefix('--')}"
        command = click.option(flag, name, is_flag=is_flag, default=None, help=note)(command)
    return command


@main.command()
@_settings_flags
def serve(**flags: Any) -> None:
    """Run API, queue and worker in one process.

    Every flag can be set by a variable, MULAN_PORT for --port. API keys and the
    secret of callbacks are set by MULAN_API_KEYS and MULAN_CALLBACK_SECRET alone.
    """
    _run("service.serve", flags)


@main.command()
@_settings_flags
def api(**flags: Any) -> None:
    """Run the API alone: jobs wait in Redis for any number of workers.

    Flags and variables are those of `mulan serve`.
    """
    _run("service.serve_api", flags)


@main.command()
@_settings_flags
def worker(**flags: Any) -> None:
    """Run a worker alone: it computes the jobs in Redis that are for its checkpoints.

    Flags and variables are those of `mulan serve`; those that concern requests have no effect here.
    """
    _run("service.serve_worker", flags)


def _run(module: str, flags: dict[str, Any]) -> None:
    """Read the settings, and run the function `serve` of a module with them."""
    try:
        settings = read_settings(**flags)
    except SettingsError as error:
        raise _MisusedError(str(error)) from error
    logs.configure(settings.log_level, settings.log_format)
    failure: click.ClickException | None = None
    try:
        importlib.import_module(module).serve(settings, _BEGAN)
    except ServeError as error:
        failure = click.ClickException(str(error))
    if background.lingers():
        if failure is not None:
            failure.show()
        background.leave(failure.exit_code if failure else 0)
    if failure is not None:
        raise failure
