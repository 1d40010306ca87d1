"""A tick does little outside the network: its operations are counted, so that they cannot creep."""

import pytest
from operations import count_operations
from small_engine import CHECKPOINT, samples, short, small_served

from models.rows.rows import Answer, Condition, Query
from models.schema.config import ModelConfig
from service.engine.engine import Engine
from service.rows import Served

ROWS = 16


class Free:
    """A network that costs no operation: it predicts that x is all noise."""

    def __init__(self, served: Served) -> None:
        self._inner = served.denoiser
        self.config: ModelConfig = self._inner.config
        self.quantum = 1
        self.encode, self.condition = self._inner.encode, self._inner.condition

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        return Answer(query.x)


@pytest.mark.parametrize(
    ("solvers", "most"), [(("ddpm",), 100), (("ddpm", "dpm-2m", "rtk-ula", "rtk-mala"), 720)]
)
def test_a_tick_takes_few_operations_outside_the_network(
    solvers: tuple[str, ...], most: int
) -> None:
    served = small_served()
    engine = Engine({CHECKPOINT: served._replace(denoiser=Free(served))})
    for name in solvers:
        engine.submit(samples(name, short(name), ROWS))
    engine.step(0.0)
    assert count_operations(lambda: engine.step(0.0)).total() <= most
