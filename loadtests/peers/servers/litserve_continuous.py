"""LitServe with its own loop of continuous batching, around our solvers."""

import argparse
from typing import Any

import litserve
from litserve.loops import ContinuousBatchingLoop
from litserve.loops.continuous_batching_loop import Output
from litserve.utils import LitAPIStatus

from loadtests.peers.core import ROWS, Choice
from loadtests.peers.servers.continuous import ContinuousBatch
from loadtests.peers.servers.solving import Json


class Continuous(litserve.LitAPI):
    """The methods that the loop calls."""

    def setup(self, device: str) -> None:
        self.batch_in_flight = ContinuousBatch(Choice.here().denoiser(), ROWS)

    def add_request(self, uid: str, request: Json) -> None:
        self.batch_in_flight.add(uid, request)

    def has_capacity(self) -> bool:
        # The batch keeps its own queue: the loop looks at those that it holds back once a second.
        return True

    def has_active_requests(self) -> bool:
        return self.batch_in_flight.busy

    def step(self, previous: list[Output] | None) -> list[Output]:
        # The loop sleeps after a step without an answer, so steps go on until there is one.
        while not (ended := self.batch_in_flight.step()):
            pass
        return [Output(uid, found, LitAPIStatus.OK) for uid, found in ended] + [
            Output(uid, "", LitAPIStatus.FINISH_STREAMING) for uid, _ in ended
        ]

    def encode_response(self, output: Any) -> Any:
        return output


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    api = Continuous(max_batch_size=ROWS, stream=True, loop=ContinuousBatchingLoop())
    server = litserve.LitServer(api, accelerator="cpu", timeout=False)
    server.run(
        host="127.0.0.1",
        port=parser.parse_args().port,
        log_level="warning",
        generate_client_file=False,
    )
