"""The networks in eager PyTorch, in float32."""

import torch
from torch import Tensor

from models.network.mulan import Mulan
from models.network.network_time import NetworkTime
from models.rows.rows import Answer, Condition, Query, concat, count, pad, split, take
from models.schema.config import ModelConfig

# Calls are padded to multiples of this many rows, or more where the warm-up finds that bytes want
# it. It is less than a lane's quantum because one image alone costs as much as this many.
LEAST_QUANTUM = 16
# With this many cotangents or more, a row is evaluated on as many copies instead of being padded.
MANY = 16


class EagerDenoiser:
    """A checkpoint on its model's device.

    Kernels choose their order of summation by the batch size. Every call is therefore padded to a
    multiple of `quantum` rows: from some size on, a row's bytes do not depend on the batch.
    """

    def __init__(self, model: Mulan, quantum: int = LEAST_QUANTUM) -> None:
        self.model = model
        self.config: ModelConfig = model.config
        self.quantum = quantum

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        if query.cotangents is not None and query.cotangents.shape[1] >= MANY:
            rows_of = [1] * count(query)
            pairs = zip(split(query, rows_of), split(condition, rows_of), strict=True)
            return concat([self._on_copies(*pair) for pair in pairs])
        rows = torch.arange(count(query), device=query.x.device)
        (x, t, cotangents, noise), condition = pad((query, condition), self.quantum)
        noise = noise or condition.schedule.noise(t)
        network_time = condition.network_time.s(t).to(x.dtype)
        with torch.set_grad_enabled(cotangents is not None):
            x = x.detach().requires_grad_(cotangents is not None)
            eps = self.model.epsilon(x, noise, network_time, condition.latent)
        answer = Answer(
            eps.detach(), None if cotangents is None else _pull_back(eps, x, cotangents)
        )
        return take(answer, rows)

    def _on_copies(self, query: Query, condition: Condition) -> Answer:
        """Evaluate one row's cotangents on as many copies of the row, by one backward pass."""
        assert query.cotangents is not None
        products = query.cotangents[0][:, None]
        copies = torch.zeros(len(products), dtype=torch.int64, device=products.device)
        x, t, noise, condition = take((query.x, query.t, query.noise, condition), copies)
        eps, pulled = self.evaluate(Query(x, t, products, noise), condition)
        assert pulled is not None
        return Answer(eps[:1], pulled.transpose(0, 1))

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model.encoder(pad(x, self.quantum))
        return logits[: len(x)]

    @torch.no_grad()
    def condition(self, latent: Tensor) -> Condition:
        schedule = self.model.gamma(pad(latent, self.quantum)).double()
        return take(
            Condition(pad(latent, self.quantum), schedule, NetworkTime.of(schedule)),
            torch.arange(len(latent), device=latent.device),
        )


def _pull_back(eps: Tensor, x: Tensor, cotangents: Tensor) -> Tensor:
    """Return J^T v for each of `[rows, probes, C, H, W]` cotangents, one backward pass for each
    probe."""
    pulled = [torch.autograd.grad(eps, x, v, retain_graph=True)[0] for v in cotangents.unbind(1)]
    return torch.stack(pulled, dim=1)
