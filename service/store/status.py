"""What a job can be."""

from typing import Literal, get_args

Status = Literal["queued", "running", "succeeded", "failed", "cancelled", "timed-out"]

STATUSES: tuple[Status, ...] = get_args(Status)
UNFINISHED: frozenset[Status] = frozenset(("queued", "running"))
