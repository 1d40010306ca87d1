"""URLs of stores: what is none is refused before anything starts."""

import pytest

from service.errors import ServeError
from service.store.connection import connect

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url",
    [
        "redis://[::1",
        "redis://h/0?foo=hunter2",
        "redis://h/0?socket_timeout=hunter2",
        "redis://h/hunter2",
        "redis://h:99999/0",
        "redis://h:hunter2/0",
        "redis://:hunter2#x@h/0",
        "http://:hunter2@h/0",
    ],
)
async def test_what_is_no_url_of_a_redis(url: str) -> None:
    with pytest.raises(ServeError, match="is no URL of a Redis") as refusal:
        connect(url)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h/",
        "rediss://h:1/15",
        "unix:///tmp/a.sock",
        "redis://user:hunter2@[::1]:6379/0?health_check_interval=10",
    ],
)
async def test_what_is_one(url: str) -> None:
    await connect(url).aclose()
