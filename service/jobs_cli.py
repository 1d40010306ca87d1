"""The commands `mulan jobs`, by which operators see and change the jobs of a fleet."""

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
from service.store.dead_letters import AllDeadLetters, DeadLetter
from service.store.opening import Shared, open_shared

Facts = dict[str, Any]
Act = Callable[[Shared], Awaitable[Facts]]

_STORE = click.option(
    "--store", help="Redis of the fleet, as redis://host:port/number; else MULAN_STORE."
)
_ID = click.argument("job_id", metavar="ID")


@click.group()
def jobs() -> None:
    """List the jobs of a fleet, show them and cancel them."""


@jobs.group()
def dead() -> None:
    """List, retry and drop dead letters: jobs that killed every worker that ran them alone."""


@jobs.command("list")
@click.option(
    "--status", type=click.Choice(get_args(JobStatus)), help="List only the jobs of this status."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@as_json
@_STORE
def list_jobs(status: JobStatus | None, limit: int, as_json: bool, store: str | None) -> None:
    """List the jobs of all callers, the latest first."""

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
    """Show the state of one job."""

    async def act(shared: Shared) -> Facts:
        return _facts(await shared.store.summary(job_id))

    facts = _run(act, store)
    emit(facts, _lines([f"{name:12} {value}" for name, value in facts.items()]), as_json)


@jobs.command("cancel")
@_ID
@as_json
@_STORE
def cancel_job(job_id: str, as_json: bool, store: str | None) -> None:
    """Cancel a job that has not ended; work stops at the next network evaluation."""

    async def act(shared: Shared) -> Facts:
        await shared.store.cancel(job_id)
        return _facts(await shared.store.summary(job_id))

    facts = _run(act, store)
    emit(facts, _lines([_line(facts)]), as_json)


@dead.command("list")
@as_json
@_STORE
def list_dead(as_json: bool, store: str | None) -> None:
    """List the dead letters with their reasons, the latest first."""

    async def act(shared: Shared) -> Facts:
        found = await AllDeadLetters(shared.shards).all()
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
    """Queue a dead letter's job again under its id, with the longest timeout; it will run alone."""

    async def act(shared: Shared) -> Facts:
        wait_s = read_settings(store=store).max_timeout_s
        await AllDeadLetters(shared.shards).retry(job_id, wait_s)
        return _facts(await shared.store.summary(job_id))

    facts = _run(act, store)
    emit(facts, _lines([_line(facts)]), as_json)


@dead.command("drop")
@_ID
@as_json
@_STORE
def drop_dead(job_id: str, as_json: bool, store: str | None) -> None:
    """Delete a dead letter."""

    async def act(shared: Shared) -> Facts:
        await AllDeadLetters(shared.shards).drop(job_id)
        return {"id": job_id, "dropped": True}

    emit(_run(act, store), _lines([f"{job_id}  dropped"]), as_json)


def _run(act: Act, store: str | None) -> Facts:
    """Run an act on the fleet's Redis, and return its facts; an error becomes one line."""
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
    percent = f"{100 * job['progress']:3.0f}%"
    return (
        f"{job['id']}  {job['status']:9}  {percent}  {job['kind']:11}  {job['model']:16}  "
        f"{job['created_at']}"
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
