"""`mulan api` and `mulan worker` as processes around one Redis."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import redis
from redis_server import RedisServer

from service.store import keys

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MULAN_")}
READY_WITHIN_S = 60.0


class Fleet:
    """Processes around one Redis."""

    def __init__(self, server: RedisServer, zoo: Path, stack: ExitStack) -> None:
        self.server, self.zoo, self.stack = server, zoo, stack

    def start(self, part: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from service.cli import main; main()", part]
        process = subprocess.Popen(
            [*command, "--store", self.server.url, "--models", str(self.zoo), *arguments],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

        def end() -> None:
            process.kill()
            process.communicate()

        self.stack.callback(end)
        return process

    def wait_until_claimed(self, jobs: int) -> None:
        """Wait until so many jobs have come and none of them waits."""
        began = time.monotonic()
        with redis.Redis(port=self.server.port) as client:
            while int(client.get(keys.ADMITTED) or 0) < jobs or client.zcard(keys.WAITING):
                assert time.monotonic() - began < READY_WITHIN_S
                time.sleep(0.02)


def line_with(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"the process ended before it said {words!r}")
