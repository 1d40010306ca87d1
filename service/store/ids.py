"""Ids of jobs. An id tells when its job was made (UUID version 7, RFC 9562), so that a store that
has lost its data can tell a job that it has lost from one that never was."""

import re
import secrets

_FORM = re.compile(r"([0-9a-f]{12})7[0-9a-f]{3}[89ab][0-9a-f]{15}")


def new_id(now: float) -> str:
    """Make an id at a time in seconds since the epoch: 32 hexadecimal digits, 74 of their bits
    random."""
    milliseconds, random = int(1000 * now) & (1 << 48) - 1, secrets.randbits(74)
    high, low = random >> 62, random & (1 << 62) - 1
    return f"{milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low:032x}"


def made_at(job_id: str) -> float | None:
    """Return when an id was made, in seconds since the epoch; None for an id of another form."""
    form = _FORM.fullmatch(job_id)
    return int(form[1], 16) / 1000 if form else None
