"""URLs of stores: what is none is refused before anything starts, and what is secret not shown."""

import pytest

from service.errors import ServeError
from service.store.connection import connect, without_password

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url",
    ["redis://[::1", "redis://h/0?foo=bar", "redis://h/zero", "redis://h:99999/0", "redis://h:x/0"],
)
async def test_what_is_no_url_of_a_redis(url: str) -> None:
    with pytest.raises(ServeError, match="is no URL of a Redis"):
        connect(url)


@pytest.mark.parametrize(
    "url", ["redis://h", "redis://h/", "rediss://h:1/15", "unix:///tmp/a.sock"]
)
async def test_what_is_one(url: str) -> None:
    await connect(url).aclose()


@pytest.mark.parametrize(
    "url", ["redis://:secret@h/0", "redis://u:secret@h/0", "redis://h/0?password=secret"]
)
async def test_a_password_is_not_shown(url: str) -> None:
    assert without_password(url) == "redis://h/0"
