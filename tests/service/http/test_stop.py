"""A process that stops does not wait for a client that stalls."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from tiny_zoo import write_checkpoint
from wire import BODY, GET, LENGTH, POST, answers, assert_refused

from loadtests.local import running_process

DRAIN_S = 20.0


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "zoo" / "good")
    return tmp_path / "zoo"


def test_an_upload_in_progress_is_refused_and_the_process_ends(zoo: Path) -> None:
    log = zoo.parent / "log"
    arguments = ["--threads", "1", "--models", str(zoo), "--drain-s", str(DRAIN_S)]
    with running_process(*arguments, log=log) as (address, pid):
        host, port = address.removeprefix("http://").split(":")
        clients = [socket.create_connection((host, int(port)), DRAIN_S) for _ in range(3)]
        for client, part in zip(clients, (POST + LENGTH + BODY[:9], GET[:9], b""), strict=True):
            client.sendall(part)
        time.sleep(0.5)
        os.kill(pid, signal.SIGTERM)
        stopping = time.monotonic()
        received = [client.makefile("rb").read() for client in clients]
    assert time.monotonic() - stopping < DRAIN_S
    assert_refused(answers(received[0]), 503, "draining")
    assert received[1:] == [b"", b""]
    for client in clients:
        client.close()
    assert "Traceback" not in log.read_text()
