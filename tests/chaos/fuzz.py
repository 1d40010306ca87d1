"""Random bytes and wrong types in every key that the service has, while it works."""

import time
from typing import Any, cast

import httpx
import redis
from crew import Crew
from hypothesis import strategies as st
from redis.client import Pipeline
from redis_server import RedisServer
from tiny_zoo import CONFIG
from traffic import body, images

from service.store import keys

# Seconds in which the service has come to terms with what was written.
WITHIN_S = 30.0
PLAIN = sorted(
    value
    for name, value in keys.IN_SCRIPTS.items()
    if value.startswith("mulan:") and not value.endswith(":")
)
PREFIXES = sorted(value for value in keys.IN_SCRIPTS.values() if value.endswith(":"))
CHANNELS = (keys.ENDS, keys.NEWS, keys.CANCELLED, keys.ARRIVALS)
FIELDS = (
    *("status", "queue", "entry", "deadline", "cost", "epoch", "told", "owner", "priority"),
    *("kind", "model", "checkpoint", "created_at", "progress", "started_at", "waiters", "company"),
    *("quarantined", "crashes", "calls", "watched", "kept_for", "scope", "job", "digest"),
)
TYPES = ("string", "list", "set", "zset", "hash", "stream", "gone")
HOWS = ("instead", "beside")

odd_bytes = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        (b"", b"nan", b"inf", b"-1", b"1e400", b"9223372036854775807", b"99999999999999999999")
    ),
    st.sampled_from((b"\xff\xfe", b"running", b"0-0", b"18446744073709551615-1", b"{}", b"null")),
)
writes = st.tuples(
    st.sampled_from((*PLAIN, *PREFIXES, *PREFIXES, *CHANNELS)),
    st.sampled_from(("job", "queue", "checkpoint", "owner", "worker", "model", "odd")),
    st.sampled_from(TYPES),
    st.sampled_from(HOWS),
    st.sampled_from(FIELDS),
    odd_bytes,
    st.floats(allow_nan=False),
)


class Fuzz:
    """A crew, its Redis, and what is written there."""

    def __init__(self, crew: Crew, server: RedisServer) -> None:
        self.crew = crew
        self.client = httpx.Client(base_url=crew.address, timeout=WITHIN_S)
        self.redis = redis.Redis(port=server.port)
        self.checkpoint = self.client.get("/v1/models").json()["models"][0]["checkpoint"]
        self.victims: list[str] = []
        self.quiet = images(self._ask(body(3)))
        self.began = crew.log.stat().st_size

    def close(self) -> None:
        self.client.close()
        self.redis.close()

    def queue(self, **more: Any) -> str:
        """Queue a job once the service takes one, and return its id."""
        job = {"kind": "samples", "request": body(3, **more)}
        answer = self._until_taken(lambda: self.client.post("/v1/jobs", json=job))
        return str(answer.json()["id"])

    def write(self, write: tuple[Any, ...], victim: str) -> None:
        """Write one odd value, beside what is there or in its place."""
        name, about, kind, how, field, value, score = write
        if name in CHANNELS:
            self.redis.publish(name, value)
            return
        names = {"job": victim, "checkpoint": self.checkpoint, "owner": "", "model": "tiny"}
        names |= {"queue": f"{self.checkpoint}:0", "worker": self._worker(), "odd": "odd"}
        key = name + names[about] if name.endswith(":") else name

        def put(pipe: Pipeline) -> None:
            """Queue the commands; the service must not write to the key between them."""
            there = cast(bytes, pipe.type(key)).decode()
            pipe.multi()
            now = there if how == "beside" else kind
            if how != "beside" and not kind == there == "stream":
                pipe.delete(key)
            if now == "string":
                pipe.set(key, value)
            elif now == "list":
                pipe.rpush(key, value)
            elif now == "set":
                pipe.sadd(key, value)
            elif now == "zset":
                pipe.zadd(key, {value: score})
            elif now == "hash":
                pipe.hset(key, field, value)
            elif now == "stream":
                pipe.xadd(key, {field: value})

        self.redis.transaction(put, key)

    def check(self, innocent: str) -> None:
        """The innocent job ends as on a quiet day, others are served, and no process has ended."""
        self._until(lambda: self._status(innocent) not in ("queued", "running"))
        answer = self._until_taken(lambda: self.client.get(f"/v1/jobs/{innocent}/result"))
        assert images(answer) == self.quiet
        assert images(self._ask(body(3))) == self.quiet
        assert self.client.get("/v1/jobs").status_code == 200
        self.is_calm()

    def is_calm(self) -> None:
        """No process has ended, no loop has failed, and no script either."""
        log = self.crew.log.read_bytes()[self.began :].decode(errors="replace")
        assert self.crew.replaced == 0, log
        for word in ("goes on", "Redis refused", "crashed", "Traceback", "no more callbacks"):
            assert word not in log, log[max(0, log.index(word) - 2000) :][:6000]

    def settle(self) -> None:
        """Every job that was written to has ended, or is not known any more; messages arrive."""
        for victim in self.victims:
            self._until(lambda victim=victim: self._status(victim) not in ("queued", "running"))
        began = time.monotonic()
        self._ask(body(3))
        assert time.monotonic() - began < 4.5
        self.is_calm()

    def _status(self, job_id: str) -> str:
        answer = self.client.get(f"/v1/jobs/{job_id}")
        assert answer.status_code in (200, 404, 500, 503), answer.text
        return str(answer.json().get("status")) if answer.status_code == 200 else ""

    def _ask(self, request: dict[str, Any]) -> httpx.Response:
        return self._until_taken(lambda: self.client.post("/v1/samples", json=request))

    def _until_taken(self, ask: Any) -> httpx.Response:
        """A service whose announcements were overwritten is not ready for a moment."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            answer: httpx.Response = ask()
            if answer.status_code in (200, 202):
                return answer
            assert answer.status_code in (404, 429, 503), answer.text
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)

    def _until(self, condition: Any) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline, self.crew.log.read_text()[-3000:]
            time.sleep(0.05)

    def _worker(self) -> str:
        names = self.redis.keys(keys.WORKER + "*")
        return names[0].decode()[len(keys.WORKER) :] if names else "nobody"


# The model of the crew draws these; a run of them takes a moment.
LONG_ENOUGH = {"count": 16, "solver": {"name": "ddpm", "steps": 300}}
assert CONFIG.image_shape
