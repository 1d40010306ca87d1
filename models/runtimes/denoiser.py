"""A checkpoint behind `models.rows.denoiser.Denoiser`, whatever runtime calls its score network."""

import torch
from torch import Tensor

from models.network.network import Network
from models.network.network_time import NetworkTime
from models.network.schedule import NoiseLevel
from models.rows.rows import (
    Answer,
    Condition,
    Query,
    concat,
    count,
    first,
    pad,
    row_quantum,
    split,
    take,
)
from models.runtimes.runtime import Runtime
from models.schema.config import ModelConfig

# From this many rows on, in multiples of it, eager kernels give a row the same bytes, or from more
# where the warm-up finds that.
EAGER_QUANTUM = 16
# With this many cotangents or more, a row is evaluated on as many copies instead of being padded.
MANY = 16


class NetworkDenoiser:
    """A checkpoint on its model's device: its score network in a runtime, the rest eager.

    Encoder and schedule run once for each row, so every runtime shares the eager ones. Kernels
    choose their order of summation by the batch size. Every call of the score network is therefore
    padded to a multiple of `quantum` rows, and those of encoder and schedule to a multiple of
    `eager_quantum`: from some size on, a row's bytes do not depend on the batch.
    """

    def __init__(
        self,
        model: Network,
        runtime: Runtime,
        quantum: int | None = None,
        eager_quantum: int = EAGER_QUANTUM,
    ) -> None:
        self.model, self.runtime = model, runtime
        self.config: ModelConfig = model.config
        self.quantum = runtime.least if quantum is None else quantum
        self.eager_quantum = eager_quantum

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        cotangents = query.cotangents
        if cotangents is not None and not cotangents.shape[1]:
            cotangents = None
        if cotangents is not None and cotangents.shape[1] >= MANY:
            rows_of = [1] * count(query)
            pairs = zip(split(query, rows_of), split(condition, rows_of), strict=True)
            return concat([self._on_copies(*pair) for pair in pairs])
        x, rows = query.x, count(query)
        noise = query.noise or self._noise(query.t, condition)
        reading = self.model.reading(x, noise)
        time = self.model.time_input(condition.network_time.s(query.t))
        asked = x, time.to(x.dtype), condition.latent
        if cotangents is None:
            out = self.runtime.score(*pad(asked, self.quantum))
            return Answer(reading.epsilon(out[:rows], x))
        padded = pad((*asked, reading.weighted(cotangents)), self.quantum)
        out, pulled = self.runtime.score_and_pull(*padded)
        return Answer(
            reading.epsilon(out[:rows], x), reading.pulled_back(pulled[:rows], cotangents)
        )

    def _noise(self, t: Tensor, condition: Condition) -> NoiseLevel:
        """Return the noise at times `t`; its exponentials are computed in whole vectors."""
        times, schedule = pad((t, condition.schedule), row_quantum(self.config.dimensions))
        return first(schedule.noise(times), len(t))

    def _on_copies(self, query: Query, condition: Condition) -> Answer:
        """Evaluate one row's cotangents on as many copies of the row, by one backward pass."""
        assert query.cotangents is not None
        products = query.cotangents[0][:, None]
        copies = torch.zeros(len(products), dtype=torch.int64, device=products.device)
        alone = query._replace(cotangents=None)
        query, condition = take((alone, condition), copies)
        eps, pulled = self.evaluate(query._replace(cotangents=products), condition)
        assert pulled is not None
        return Answer(eps[:1], pulled.transpose(0, 1))

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model.encoder(pad(x, self.eager_quantum))
        return logits[: len(x)]

    @torch.no_grad()
    def condition(self, latent: Tensor) -> Condition:
        # The schedule's layers are padded; what follows them is exact arithmetic on single rows.
        padded = self.model.gamma(pad(latent, self.eager_quantum))
        schedule = first(padded, len(latent)).double()
        return Condition(latent, schedule, NetworkTime.of(schedule))


class TwoPrecisions:
    """A checkpoint whose samples are drawn in less precision than all else is computed in.

    Solvers of likelihoods and verdicts ask for pull-backs, if only of no cotangents, and samplers
    never do.
    """

    def __init__(self, exact: NetworkDenoiser, samples: NetworkDenoiser) -> None:
        self.config = exact.config
        self.exact, self.samples = exact, samples
        self.quantum = max(exact.quantum, samples.quantum)

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        chosen = self.samples if query.cotangents is None else self.exact
        return chosen.evaluate(query, condition)

    def encode(self, x: Tensor) -> Tensor:
        return self.exact.encode(x)

    def condition(self, latent: Tensor) -> Condition:
        return self.exact.condition(latent)
