"""The message about a job that has ended, and its headers by the scheme of Standard Webhooks."""

import json
from datetime import UTC, datetime
from typing import NamedTuple

from standardwebhooks import Webhook

from service.api.jobs import describe
from service.store.base import Call

_AGENT = "mulan-serve"


class Message(NamedTuple):
    """The body of a call and its headers."""

    body: bytes
    headers: dict[str, str]


def message(call: Call, secret: str, now: datetime) -> Message:
    """Return what is sent at the time `now`. The body and `webhook-id` are those of every attempt;
    the time and the signature are new. A job that ends again, after a retry by its operator, is
    another message."""
    job = describe(call.job)
    ended = job.finished_at or now
    body = json.dumps(
        {
            "type": f"job.{job.status}",
            "timestamp": ended.astimezone(UTC).isoformat(),
            "data": job.model_dump(mode="json"),
        }
    )
    name = f"job_{job.id}_{int(1000 * ended.timestamp())}"
    headers = {
        "Content-Type": "application/json",
        "User-Agent": _AGENT,
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, now, body),
    }
    return Message(body.encode(), headers)
