"""Mosec with dynamic batching: requests that arrive together are solved together."""

from typing import Any

from mosec import Server, Worker

from loadtests.peers.core import ROWS, Choice
from loadtests.peers.servers.solving import Json, solve_together

MAX_WAIT_MS = 10
TIMEOUT_S = 3600


class Batched(Worker):
    """One batch at a time, of at most `ROWS` requests."""

    def __init__(self) -> None:
        super().__init__()
        self.denoiser = Choice.here().denoiser()

    def forward(self, data: Any) -> list[Json]:
        return solve_together(self.denoiser, data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(
        Batched,
        max_batch_size=ROWS,
        max_wait_time=MAX_WAIT_MS,
        timeout=TIMEOUT_S,
        route="/predict",
    )
    server.run()
