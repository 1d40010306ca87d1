"""`mulan jobs`: what operators do with a fleet's jobs, whoever they belong to."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, get_args

import click

from models.cli.options import as_json, emit
from service.errors import ServeError, ServiceError
from service.jobs import JobStatus
from service.settings import SettingsError, read_settings
from service.store.base import JobSummary
from service.store.dead_letters import DeadLetter, DeadLetters
from service.store.opening import Shared, open_shared

Facts = dict[str, Any]
Act = Callable[[Shared], Awaitable[Facts]]

_STORE = click.option("--store", help="Redis of the fleet, redis://host:port/number; MULAN_STORE.")
_ID = click.argument("job_id", metavar="ID")


@click.group()
def jobs() -> None:
    """Look at the jobs of a fleet, and end them."""


@jobs.group()
def dead() -> None:
    """Jobs that were given up: each killed every worker that ran it alone."""


@jobs.command("list")
@click.option("--status", type=click.Choice(get_args(JobStatus)), help="Only those that stand so.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@as_json
@_STORE
def list_jobs(status: JobStatus | None, limit: int, as_json: bool, store: str | None) -> None:
    """Everybody's jobs, the latest first."""

    async def act(shared: Shared) -> Facts:
        found: list[JobSummary] = []
        before: int | None = None
        while len(found) < limit:
            page = await shared.store.jobs(None, status, limit - len(found), before)
            found, before = [*found, *page.jobs], page.before
            if before is None:
                break
        return {"jobs": [_facts(summary) for summary in found]}

    facts = _run(act, store)
    emit(facts, _lines([_line(job) for job in facts["jobs"]]), as_json)


@jobs.command("show")
@_ID
@as_json
@_STORE
def show_job(job_id: str, as_json: bool, store: str | None) -> None:
    """How one job stands."""

    async def act(shared: Shared) -> Facts:
        return _facts(await shared.store.summary(job_id))

    facts = _run(act, store)
    emit(facts, _lines([f"{name:12} {value}" for name, value in facts.items()]), as_json)


@jobs.command("cancel")
@_ID
@as_json
@_STORE
def cancel_job(job_id: str, as_json: bool, store: str | None) -> None:
    """End a job that has not ended, at the next network evaluation."""

    async def act(shared: Shared) -> Facts:
        await shared.store.cancel(job_id)
        return _facts(await shared.store.summary(job_id))

    facts = _run(act, store)
    emit(facts, _lines([_line(facts)]), as_json)


@dead.command("list")
@as_json
@_STORE
def list_dead(as_json: bool, store: str | None) -> None:
    """Dead letters, the latest first, with the reason."""

    async def act(shared: Shared) -> Facts:
        found = await DeadLetters(shared.store.client).all()
        return {"letters": [_letter(letter) for letter in found]}

    facts = _run(act, store)
    lines = [
        f"{letter['id']}  {letter['kind'] or '?':11}  {letter['model'] or '?':16}  "
        f"{letter['died_at']}  "
        f"{letter['reason']}"
        for letter in facts["letters"]
    ]
    emit(facts, _lines(lines), as_json)


@dead.command("retry")
@_ID
@as_json
@_STORE
def retry_dead(job_id: str, as_json: bool, store: str | None) -> None:
    """Queue a dead job again under its id; it runs alone, for as long as a request may wait."""

    async def act(shared: Shared) -> Facts:
        wait_s = read_settings(store=store).max_timeout_s
        await DeadLetters(shared.store.client).retry(job_id, wait_s)
        return _facts(await shared.store.summary(job_id))

    facts = _run(act, store)
    emit(facts, _lines([_line(facts)]), as_json)


@dead.command("drop")
@_ID
@as_json
@_STORE
def drop_dead(job_id: str, as_json: bool, store: str | None) -> None:
    """Throw a dead letter away."""

    async def act(shared: Shared) -> Facts:
        await DeadLetters(shared.store.client).drop(job_id)
        return {"id": job_id, "dropped": True}

    emit(_run(act, store), _lines([f"{job_id}  dropped"]), as_json)


def _run(act: Act, store: str | None) -> Facts:
    """What comes of an act on the fleet's Redis; what goes wrong is one line."""
    logging.basicConfig(level="WARNING", format="%(levelname)s: %(message)s")

    async def run() -> Facts:
        async with open_shared(read_settings(store=store)) as shared:
            return await act(shared)

    try:
        return asyncio.run(run())
    except ServiceError as error:
        raise click.ClickException(error.detail) from error
    except (ServeError, SettingsError) as error:
        raise click.ClickException(str(error)) from error


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines) or "none"


def _facts(summary: JobSummary) -> Facts:
    times = ("created_at", "deadline", "started_at", "finished_at")
    facts = asdict(summary)
    return facts | {name: _time(facts[name]) for name in times}


def _letter(letter: DeadLetter) -> Facts:
    job = letter.job
    return {
        "id": letter.id,
        "kind": job and job.task.kind,
        "model": job and job.model,
        "checkpoint": job and job.checkpoint,
        "owner": job and job.owner,
        "died_at": _time(letter.died_at),
        "reason": letter.reason,
    }


def _line(job: Facts) -> str:
    share = f"{100 * job['progress']:3.0f}%"
    return (
        f"{job['id']}  {job['status']:9}  {share}  {job['kind']:11}  {job['model']:16}  "
        f"{job['created_at']}"
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
