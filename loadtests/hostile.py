"""Measure the cost of hostile clients: memory, processor time, and the wait of other clients.

Each attack goes to the whole service; meanwhile `/livez` is asked again and again. Sizes are those
that the default limits allow, and some past them.

    python -m loadtests.hostile [part of an attack's name]
"""

import argparse
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

from loadtests.local import running_process
from loadtests.processes import spent_s

MB = 1 << 20
# A little under the largest body by default.
LARGE = 16 * MB - 4096
PROBE_EVERY_S = 0.02
TIMEOUT_S = 60.0
STALL_S = 10.0


def post(path: str, length: int, kind: str = "application/json") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


def chunked(path: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()


def filled(start: bytes, piece: bytes, end: bytes, size: int) -> bytes:
    return start + piece * ((size - len(start) - len(end)) // len(piece)) + end


IMAGES = b'{"model": "digits", "images": ['
BODIES = {
    "numbers for images": filled(IMAGES, b"1,", b"1]}", LARGE),
    "empty strings for images": filled(IMAGES, b'"",', b'""]}', LARGE),
    "one long string": filled(IMAGES + b'"', b"A", b'"]}', LARGE),
    "unknown names": b'{"model": "digits"%b}'
    % b"".join(b', "x%d": 1' % number for number in range(LARGE // 16)),
    "one long unknown name": filled(b'{"', b"x", b'": 1}', LARGE),
    "one name again and again": filled(b'{"model": "a"', b', "model": "a"', b"}", LARGE),
    "objects for images": filled(IMAGES, b"{},", b"{}]}", LARGE),
    "deep lists": filled(IMAGES, b"[", b"", LARGE),
    "a long number": filled(b'{"model": "digits", "seed": ', b"1", b"}", LARGE),
    "a long fraction": filled(b'{"model": "digits", "seed": 0.', b"1", b"}", LARGE),
    "escapes": filled(IMAGES + b'"', b"\\u0041", b'"]}', LARGE),
    "a long solver name": filled(b'{"model": "digits", "solver": {"name": "', b"x", b'"}}', LARGE),
    "few values, many faults": filled(b'{"model": "digits"', b', "":1', b"}", 64_000),
}
FORM = "multipart/form-data; boundary=b"
FORMS = {
    "parts without an end": filled(b"--b\r\n", b"\r\n--b\r\n", b"", LARGE),
    "almost boundaries": filled(
        b'--b\r\nContent-Disposition: form-data; name="images"\r\n\r\n', b"\r\n--", b"", LARGE
    ),
    "part headers": filled(b"--b\r\n", b"a: b\r\n", b"", LARGE),
}


@dataclass
class Target:
    """The service under attack."""

    port: int
    pid: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S)

    def exchange(self, *pieces: bytes) -> bytes:
        """Send, as far as it is taken, and hear the answer's beginning."""
        with self.connect() as client:
            with suppress(OSError):
                for piece in pieces:
                    client.sendall(piece)
            with suppress(OSError):
                return client.recv(1 << 16)
        return b""

    def memory_mb(self, name: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_s(self) -> float:
        return spent_s(self.pid)

    @contextmanager
    def probed(self) -> Iterator[list[float]]:
        """Yield the longest time of /livez, which another process requests on new connections."""
        results: multiprocessing.SimpleQueue[float]
        over, results = multiprocessing.Event(), multiprocessing.SimpleQueue()
        prober = multiprocessing.Process(target=probe, args=(self, over, results))
        prober.start()
        slowest: list[float] = []
        try:
            yield slowest
        finally:
            over.set()
            slowest.append(results.get())
            prober.join()


def probe(target: Target, over: Event, results: "multiprocessing.SimpleQueue[float]") -> None:
    """Tell of the slowest answer until it is over."""
    slowest = 0.0
    while not over.wait(PROBE_EVERY_S):
        began = time.monotonic()
        answer = target.exchange(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        alive = answer.startswith(b"HTTP/1.1 200")
        slowest = max(slowest, time.monotonic() - began if alive else float("inf"))
    results.put(slowest)


def at_once(number: int, attack: Callable[[], bytes]) -> bytes:
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: attack(), range(number)))[-1]


def held(target: Target, number: int, *pieces: bytes) -> bytes:
    """Connections that send so much, and stall until they are ended."""
    clients = [target.connect() for _ in range(number)]

    def send(client: socket.socket) -> None:
        with suppress(OSError):
            for piece in pieces:
                client.sendall(piece)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(send, clients))
    answer = b""
    for client in clients:
        with suppress(OSError):
            answer = client.recv(1 << 16) or answer
        client.close()
    return answer


def stalled(target: Target, number: int, request: bytes) -> bytes:
    """Connections that ask for much, and read nothing until they are ended."""
    clients = []
    for _ in range(number):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", target.port))
        with suppress(OSError):
            client.sendall(request)
        clients.append(client)
    time.sleep(STALL_S)
    for client in clients:
        client.close()
    return b""


def attacks(target: Target) -> dict[str, Callable[[], bytes]]:
    start = b"POST /v1/samples HTTP/1.1\r\nHost: x\r\n"
    found: dict[str, Callable[[], bytes]] = {
        "a header of 64 MB": lambda: target.exchange(start + b"a: ", *([b"a" * MB] * 64)),
        "a million short lines": lambda: target.exchange(start, *([b"a: b\r\n" * 10_000] * 100)),
        "trailers of 64 MB": lambda: target.exchange(
            chunked("/v1/samples") + b"0\r\na: ", *([b"a" * MB] * 64)
        ),
        "chunk extensions of 64 MB": lambda: target.exchange(
            chunked("/v1/samples"), *([b"1;%b\r\na\r\n" % (b"a" * 4000) * 250] * 64)
        ),
        "a body in chunks of one byte": lambda: target.exchange(
            chunked("/v1/likelihoods"), *([b"1\r\na\r\n" * MB] * 15), b"0\r\n\r\n"
        ),
        "a hundred thousand requests at once": lambda: target.exchange(
            *([b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 1000] * 100)
        ),
        "1,500 headers of 60 KB that stall": lambda: held(
            target, 1500, start + b"a: " + b"a" * 60_000
        ),
        "1,500 bodies of 60 KB that stall": lambda: held(
            target, 1500, post("/v1/samples", LARGE), b"a" * 60_000
        ),
        "100 bodies of 16 MB that stall": lambda: held(
            target, 100, post("/v1/samples", LARGE), b" " * (LARGE - 1)
        ),
    }
    unread = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 90
    found["200 clients that read no answer"] = lambda: stalled(target, 200, unread)
    for name, body in BODIES.items():
        path = "/v1/likelihoods" if body.startswith(IMAGES) else "/v1/samples"
        found[name] = lambda path=path, body=body: target.exchange(post(path, len(body)), body)
    for name, body in FORMS.items():
        head = post("/v1/likelihoods", len(body), FORM)
        found[name] = lambda head=head, body=body: target.exchange(head, body)
    wrong = BODIES["numbers for images"]
    found["30 wrong bodies of 16 MB at once"] = lambda: at_once(
        30, lambda: target.exchange(post("/v1/likelihoods", len(wrong)), wrong)
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", default="")
    wanted = parser.parse_args().name
    print("| attack | answer | seconds | processor s | memory, MB | slowest /livez, s |")
    print("|---|---|---|---|---|---|")
    with running_process("--threads", "1") as (address, pid):
        target = Target(int(address.rpartition(":")[2]), pid)
        for name, attack in attacks(target).items():
            if wanted not in name:
                continue
            target.forget_peak()
            before, spent, began = target.memory_mb("VmRSS"), target.cpu_s(), time.monotonic()
            with target.probed() as waits:
                answer = attack()
            told = answer.split(b"\r\n", 1)[0].decode().removeprefix("HTTP/1.1 ") or "closed"
            print(
                f"| {name} | {told} | {time.monotonic() - began:.1f} | "
                f"{target.cpu_s() - spent:.2f} | +{target.memory_mb('VmHWM') - before:.0f} | "
                f"{max(waits):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
