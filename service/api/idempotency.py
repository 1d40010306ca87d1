"""`Idempotency-Key`: a request that is sent twice is one job."""

import hashlib
import re

from starlette.requests import Request

from service.api.kinds import Asked
from service.errors import InvalidRequest
from service.store.base import Key

HEADER = "Idempotency-Key"
LONGEST = 255
_VISIBLE = re.compile(rf"[\x21-\x7e]{{1,{LONGEST}}}")


def key_of(request: Request, asked: Asked) -> Key | None:
    """The key of a request, for its caller and path alone. Raises InvalidRequest."""
    given = request.headers.get(HEADER)
    if given is None:
        return None
    if not _VISIBLE.fullmatch(given):
        raise InvalidRequest.at(HEADER, f"should be 1 to {LONGEST} visible ASCII characters")
    scope = "\n".join((request.state.owner, request.url.path, given))
    return Key(hashlib.sha256(scope.encode()).hexdigest(), asked.digest)
