"""Measure the price of reading requests safely: processor time of a request, by the reader.

By turns: uvicorn with llhttp and nothing around it, uvicorn with h11, and our own connections. Each
is a process of its own with the whole API and an empty queue; requests come over loopback, eight at
a time, with the headers of a usual client.

    python -m loadtests.request_cost
"""

import argparse
import asyncio
import multiprocessing
import socket
import statistics
from contextlib import ExitStack

import uvicorn
import uvloop

from loadtests.processes import spent_s
from service.api.app import create_app
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.http.server import Server
from service.settings import Settings
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.store.quotas import Quotas

OURS = "ours"
READERS = ("httptools", OURS, "h11")
CLIENTS = 8
MICRO = 1e6
HEADERS = (
    b"Host: 127.0.0.1:8000\r\nUser-Agent: python-requests/2.32.3\r\nAccept: */*\r\n"
    b"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nX-Request-Id: 0123456789\r\n"
    b"Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\n"
)
BODY = b'{"model": "nobody-serves-this", "count": 1, "seed": 7}'
REQUESTS = {
    "`GET /livez`": b"GET /livez HTTP/1.1\r\n" + HEADERS + b"\r\n",
    "`POST /v1/samples`, refused": b"POST /v1/samples HTTP/1.1\r\n"
    + HEADERS
    + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
}


def serve(reader: str, listener: socket.socket) -> None:
    """Serve until the process is ended."""
    settings, gate = Settings(), Gate()
    gate.open()
    store = MemoryStore(Bounds.of(settings))
    app = create_app(Context(settings, store, Catalogue(), gate, Quotas(settings)))
    server: uvicorn.Server = Server(app, settings, gate)
    if reader != OURS:
        config = uvicorn.Config(
            app, http=reader, ws="none", lifespan="off", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(server.serve([listener]))


async def ask(port: int, request: bytes, times: int) -> None:
    """Send a request `times` times, on connections that stay open."""

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(times // CLIENTS):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--requests", type=int, default=8000)
    wanted = parser.parse_args()
    found: dict[tuple[str, str], list[float]] = {}
    new_loop = uvloop.new_event_loop
    with ExitStack() as stack, asyncio.Runner(loop_factory=new_loop) as loop:
        servers = {}
        for reader in READERS:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
            process = multiprocessing.Process(target=serve, args=(reader, listener), daemon=True)
            process.start()
            stack.callback(process.kill)
            servers[reader] = process.pid or 0, listener.getsockname()[1]
        for turn in range(wanted.turns + 1):
            for reader in READERS if turn % 2 else READERS[::-1]:
                pid, port = servers[reader]
                for name, request in REQUESTS.items():
                    before = spent_s(pid)
                    loop.run(ask(port, request, wanted.requests))
                    if turn:  # The first is to get warm.
                        each = (spent_s(pid) - before) / wanted.requests * MICRO
                        found.setdefault((name, reader), []).append(each)
    print(f"| processor time a request, µs | {' | '.join(READERS)} |")
    print("|---|" + "---|" * len(READERS))
    for name in REQUESTS:
        medians = (f"{statistics.median(found[name, reader]):.0f}" for reader in READERS)
        print(f"| {name} | {' | '.join(medians)} |")


if __name__ == "__main__":
    main()
