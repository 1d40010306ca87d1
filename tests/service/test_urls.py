"""URLs with passwords in them: the place alone may be shown, and of what is no URL nothing."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from secret_words import PASSWORDS, seen

from service.urls import UrlError, collector_url, redis_url

FORMS = [
    "redis://:{}@queue.example:6379/3",
    "redis://user:{}@queue.example:6379/3",
    "rediss://user:{}@queue.example/",
    "redis://{}:secret-of-others@queue.example:6379",
    "redis://queue.example:6379/3?password={}",
    "unix://:{}@/run/redis.sock?db=3",
    "redis+cluster://user:{}@queue.example:6379,b:6380/?shards=6",
    "rediss+sentinel://user:{}@queue.example,b/primary/3",
    "redis+sentinel://queue.example,b/primary/3?sentinel_password={}",
    "redis://:{}@queue.example,b:6380/0",
]
PLACES = ["queue.example", "/run/redis.sock"]


def shown(form: str, password: str) -> str:
    """The text that a log or an error shows of the URL."""
    try:
        return redis_url(form.format(password)).place
    except UrlError as refusal:
        return str(refusal)


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("form", FORMS)
def test_nothing_of_a_password_is_shown(form: str, password: str) -> None:
    assert not seen(password, shown(form, password))
    encoded = shown(form, quote(password, safe=""))
    assert not seen(password, encoded)
    assert any(name in encoded for name in PLACES)


@given(st.sampled_from(FORMS), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_password_at_all(form: str, password: str) -> None:
    """The marks around it occur in no message, so that any part of it would be found."""
    marked = f"QQQ{password}QQQ"
    assert "QQQ" not in shown(form, marked)
    assert any(name in shown(form, quote(marked, safe="")) for name in PLACES)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://h", "redis://h"),
        ("redis://h/", "redis://h/"),
        ("rediss://u:p@h:1/15?health_check_interval=3", "rediss://h:1/15"),
        ("redis://:p@[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://:p@ss@h/0", "redis://h/0"),
        ("redis:///0", "redis:///0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://u:p@a:1,b:2/3", "redis://a:1/3,redis://b:2/3"),
        ("redis+cluster://u:p@a:1,b:2", "redis+cluster://a:1,b:2"),
        ("rediss+cluster://h:1/?shards=6&ssl_check_hostname=no", "rediss+cluster://h:1"),
        ("redis+sentinel://:p@a:1,[::1]:2/queue/4", "redis+sentinel://a:1,[::1]:2/queue"),
    ],
)
def test_where_a_store_is(url: str, where: str) -> None:
    assert redis_url(url).place == where


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "redis:",
        "redis:h",
        "redis:/u:p@h",
        "http://h",
        "redis://[::1",
        "redis://h/zero",
        "redis://h:99999/0",
        "redis://h:x/0",
        "redis://h/0#",
        "redis://h/0 ",
        " redis://h/0",
        "redis://h/0\n",
        "redis://a,,b/0",
        "redis://:p@a:1,:p@b:2/0",
        "redis+cluster://u:p@a,u:q@b/?shards=3",
        "redis+cluster://a,/?shards=3",
        "redis+cluster://h/one",
        "redis+cluster://h/?shards=0",
        "redis+cluster://h/?shards=65",
        "redis+cluster://h/?shards=many",
        "redis+sentinel://h",
        "redis+sentinel://h/queue/zero",
        "unix+cluster:///run/redis.sock",
        "redis+other://h/0",
    ],
)
def test_what_is_no_url_of_a_redis(url: str) -> None:
    with pytest.raises(UrlError, match="percent-encoded"):
        redis_url(url)


@pytest.mark.parametrize("end", ["1", "15", "?db=1", "0?shards=6&db=2", "?db=-1", "?db=", "?db=x"])
def test_a_cluster_has_no_other_database(end: str) -> None:
    with pytest.raises(UrlError, match="Redis Cluster has no other than 0"):
        redis_url(f"redis+cluster://:secret@h/{end}")


def test_the_database_of_a_cluster_may_be_named() -> None:
    for end in ("", "0", "0?db=0"):
        assert redis_url(f"redis+cluster://h/{end}").servers == ("redis://h/0",)


def test_the_servers_of_a_url() -> None:
    assert redis_url("redis://u:p@a:1,b/3?ssl=1").servers == (
        *("redis://u:p@a:1/3?ssl=1", "redis://u:p@b/3?ssl=1"),
    )
    cluster = redis_url("rediss+cluster://u:p@a,b:2/?ssl_check_hostname=no&shards=6")
    assert cluster.servers == (
        *("rediss://u:p@a/0?ssl_check_hostname=no", "rediss://u:p@b:2/0?ssl_check_hostname=no"),
    )
    assert (cluster.kind, cluster.shards, redis_url("redis+cluster://h").shards) == (
        "cluster",
        6,
        3,
    )
    watched = redis_url("redis+sentinel://:a%23b@h/queue?sentinel_password=c%23d")
    assert (watched.servers, watched.primary) == (("redis://:a%23b@h/0",), "queue")
    assert set(watched.passwords) == {"a%23b", "a#b", "c#d"}
    assert set(redis_url("redis://h/0?db=1&password=e%23f").passwords) == {"e%23f", "e#f"}
    assert set(redis_url("rediss://h/0?ssl_password=g%23h").passwords) == {"g%23h", "g#h"}
    assert set(watched.passwords) == {"a%23b", "a#b", "c#d"}


@pytest.mark.parametrize("url", ["http://h:4318", "https://u:p@h/otlp", "http://[::1]:4318/"])
def test_what_is_the_url_of_a_collector(url: str) -> None:
    collector_url(url)


@pytest.mark.parametrize(
    "url",
    ["h:4318", "ftp://h", "http://", "http://:4318", "http://h?key=a", "http://h#a", "http://h:x"],
)
def test_what_is_no_url_of_a_collector(url: str) -> None:
    with pytest.raises(UrlError):
        collector_url(url)
