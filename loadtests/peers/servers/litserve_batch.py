"""LitServe with request batching: requests that arrive together are solved together."""

import argparse
from typing import Any

import litserve

from loadtests.peers.core import ROWS, Choice
from loadtests.peers.servers.solving import Json, solve_together

# Seconds for which a batch waits for more requests, as in LitServe's own examples.
BATCH_TIMEOUT_S = 0.01


class Batched(litserve.LitAPI):
    """One batch at a time, of at most `ROWS` requests."""

    def setup(self, device: str) -> None:
        self.denoiser = Choice.here().denoiser()

    def batch(self, inputs: list[Json]) -> list[Json]:
        return list(inputs)

    def predict(self, inputs: Any) -> list[Json]:
        return solve_together(self.denoiser, inputs)

    def unbatch(self, output: list[Json]) -> list[Json]:
        return output


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    api = Batched(max_batch_size=ROWS, batch_timeout=BATCH_TIMEOUT_S)
    server = litserve.LitServer(api, accelerator="cpu", timeout=False)
    server.run(
        host="127.0.0.1",
        port=parser.parse_args().port,
        log_level="warning",
        generate_client_file=False,
    )
