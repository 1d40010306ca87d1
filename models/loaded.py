"""The mathematics of a checkpoint for a Python session, with NumPy arrays, channels last.

Images and states are `[rows, H, W, C]`, times `[rows]` or one number in [0, 1], latents k-hot
`[rows, n]`. All random numbers are arguments. Arguments of a wrong shape, tokens outside the
vocabulary and times outside [0, 1] raise ValueError. The service does not use this module.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from models.checkpoints.checkpoint import load_checkpoint
from models.evaluation.likelihood.paper import (
    TOLERANCE,
    Flow,
    PaperDraw,
    paper_bits,
    paper_draw,
    paper_kl,
)
from models.files.images import Tokens
from models.network.encoder import categorical_kl, top_k
from models.network.network import Network
from models.network.objective import negative_elbo
from models.network.pixels import data_to_tokens, tokens_to_data
from models.rows.rows import Condition, Query
from models.runtimes.eager import eager_denoiser
from models.solvers.ddpm import ancestral_step

Array = NDArray[Any]
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class ScheduleAt(NamedTuple):
    """The schedule at one time for each row; all fields are `[rows, H, W, C]`."""

    gamma: Array
    dgamma_dt: Array
    alpha: Array
    sigma: Array


class ElboAt(NamedTuple):
    """The terms of the negative ELBO `[rows]`, in nats. `latent` is the paper's categorical KL."""

    reconstruction: Array
    prior: Array
    diffusion: Array
    latent: Array

    @property
    def total(self) -> Array:
        """The paper's figure, the sum of the terms. It is not a bound; with log C(n, k) for
        `latent` it is."""
        return self.reconstruction + self.prior + self.diffusion + self.latent


def load(
    folder: str | Path,
    dtype: Literal["float32", "float64"] = "float32",
    device: str = "cpu",
) -> "LoadedCheckpoint":
    """Load and verify the checkpoint in `folder`. Raises CheckpointError."""
    return LoadedCheckpoint(load_checkpoint(Path(folder), device).model, dtype)


class LoadedCheckpoint:
    """One model in one floating-point precision."""

    def __init__(self, model: Network, dtype: Literal["float32", "float64"] = "float32") -> None:
        self.dtype = DTYPES[dtype]
        self.model = model.to(self.dtype).eval().requires_grad_(False)
        self.config = model.config
        self.device = self.model.device
        self._denoiser = eager_denoiser(self.model, quantum=1)

    # Images and latents

    def encode(self, images: Tokens) -> Array:
        """Return the centres of the bins of tokens 0..V-1, in (-1, 1), float64."""
        return _last(tokens_to_data(self._tokens(images), self.config))

    def decode(self, x0: Array) -> Tokens:
        """Return the nearest tokens, uint8, to states at t = 0."""
        return _last(data_to_tokens(self._first(x0), self.config))

    def logits(self, images: Tokens) -> Array:
        """Return the encoder's logits `[rows, n]`."""
        return _array(self._logits(self._tokens(images)))

    def latent(self, images: Tokens) -> Array:
        """Return the k-hot latent `[rows, n]` of the k largest logits; ties go to the lower
        index. Of a model with classes the latent is the class, one-hot, and has to be named."""
        return _array(self._encoded(self._logits(self._tokens(images))))

    def latent_kl(self, images: Tokens) -> Array:
        """Return the paper's latent term `[rows]` in nats: the KL from one n-way categorical to the
        uniform."""
        return _array(categorical_kl(self._logits(self._tokens(images))))

    # The diffusion

    def schedule(self, latent: Array, t: ArrayLike) -> ScheduleAt:
        """Return gamma, its derivative by time, alpha and sigma at times `t`, float64."""
        condition = self._condition(latent)
        times = self._times(t, len(latent))
        noise = condition.schedule.noise(times)
        slope = condition.schedule.dgamma_dt(times)
        return ScheduleAt(*map(_last, (noise.gamma, slope, noise.alpha, noise.sigma)))

    def network(self, x: Array, mean_gamma: ArrayLike, latent: Array) -> Array:
        """Return the score network's own output at the time where the mean of gamma is
        `mean_gamma`."""
        _same_rows(x, latent)
        g = self._column(mean_gamma, len(x))
        network_time = (g - self.config.gamma_min) / (self.config.gamma_max - self.config.gamma_min)
        time = self.model.time_input(network_time).to(self.dtype)
        out = self.model.score(self._first(x), time, self._latent(latent))
        return _last(out)

    def epsilon(self, x: Array, t: ArrayLike, latent: Array) -> Array:
        """Return the predicted noise at (`x`, `t`), whatever the network itself predicts."""
        _same_rows(x, latent)
        query = Query(self._first(x), self._times(t, len(x)))
        return _last(self._denoiser.evaluate(query, self._condition(latent)).eps)

    def drift(self, x: Array, t: float, latent: Array) -> Array:
        """Return dx/dt of the probability-flow ODE."""
        return _last(self._flow(x, latent, np.ones_like(x)).drift(*self._at(x, t))[0])

    def pull_back(self, x: Array, t: float, latent: Array, cotangent: Array) -> Array:
        """Return J^T v for the Jacobian J of `drift` and the `cotangent` v.

        For v of ±1 the inner product of v and J^T v is an unbiased estimate of the divergence.
        """
        return _last(self._flow(x, latent, cotangent).drift(*self._at(x, t))[1])

    def ancestral_step(
        self, x: Array, t: ArrayLike, earlier: ArrayLike, latent: Array, noise: Array
    ) -> Array:
        """Return the state after one DDPM step from times `t` to times `earlier` < t.

        `noise` is standard normal.
        """
        _same_rows(x, latent, noise)
        condition, state = self._condition(latent), self._first(x)
        here, there = (self._times(time, len(x)) for time in (t, earlier))
        eps = self._denoiser.evaluate(Query(state, here), condition).eps
        scales = condition.schedule.noise
        return _last(ancestral_step(state, eps, scales(here), scales(there), self._first(noise)))

    # Likelihood

    def elbo(
        self, images: Tokens, t: ArrayLike, noise0: Array, noise: Array, latent: Array | None = None
    ) -> ElboAt:
        """Return the terms of the negative ELBO at times `t`, each from one sample.

        `noise0` perturbs the reconstruction and `noise` x_t. `latent` is the encoder's choice by
        default.
        """
        _same_rows(images, noise0, noise, *(() if latent is None else (latent,)))
        tokens = self._tokens(images)
        logits = self._logits(tokens)
        chosen = self._encoded(logits) if latent is None else self._latent(latent)
        times = self._times(t, len(images)).to(self.dtype)
        draws = self._first(noise0), self._first(noise)
        terms = negative_elbo(self.model, tokens, chosen, logits, times, *draws)
        parts = terms.reconstruction, terms.prior, terms.diffusion, terms.latent
        return ElboAt(*map(_array, parts))

    def paper_likelihood(
        self,
        images: Tokens,
        noise: Array,
        probes: Array,
        *,
        tolerance: float = TOLERANCE,
        times: Array | None = None,
    ) -> PaperDraw:
        """Return one draw of the authors' estimator (`evaluation/likelihood/paper.py`), which is
        not a bound."""
        _same_rows(images, noise, probes)
        given = (self._first(part).double() for part in (noise, probes))
        options: dict[str, Any] = {"tolerance": tolerance, "times": times, "dtype": self.dtype}
        return paper_draw(self._denoiser, self._tokens(images), *given, **options)

    def paper_bits(self, images: Tokens, draws: list[PaperDraw]) -> Array:
        """Return bits/dim `[rows]` from draws of the same images."""
        kl = paper_kl(self._denoiser, self._tokens(images), self.dtype)
        return _array(paper_bits(draws, kl, self.config.dimensions))

    def _logits(self, tokens: Tensor) -> Tensor:
        clean = tokens_to_data(tokens, self.config)
        return self._denoiser.encode(clean.to(self.dtype))

    def _condition(self, latent: Array) -> Condition:
        return self._denoiser.condition(self._latent(latent))

    def _at(self, x: Array, t: float) -> tuple[Tensor, float]:
        return self._first(x), float(self._times(t, 1))

    def _flow(self, x: Array, latent: Array, probes: Array) -> Flow:
        _same_rows(x, latent, probes)
        return Flow(self._denoiser, self._condition(latent), self._first(probes), self.dtype)

    def _encoded(self, logits: Tensor) -> Tensor:
        if self.config.classes:
            raise ValueError("the model has classes: give the class as a one-hot latent")
        return top_k(logits, self.config.latent_k)

    def _latent(self, latent: Array) -> Tensor:
        given, size = np.asarray(latent), self.config.condition_size
        if given.ndim != 2 or given.shape[1] != size:
            raise ValueError(f"latents are {given.shape}, not [rows, {size}]")
        return torch.tensor(given, dtype=self.dtype, device=self.device)

    def _tokens(self, images: Tokens) -> Tensor:
        given = self._shaped(images)
        if given.dtype.kind not in "ui":
            raise ValueError(f"images are {given.dtype}, not integer tokens")
        if given.size and not 0 <= given.min() <= given.max() < self.config.vocabulary:
            raise ValueError(f"tokens outside 0 to {self.config.vocabulary - 1}")
        tokens = torch.tensor(given.astype(np.uint8), device=self.device)
        return tokens.permute(0, 3, 1, 2).contiguous()

    def _first(self, x: Array) -> Tensor:
        """Return a tensor with channels first, in the model's precision."""
        given = torch.tensor(self._shaped(x), dtype=self.dtype, device=self.device)
        return given.permute(0, 3, 1, 2).contiguous()

    def _shaped(self, x: Array) -> Array:
        given = np.asarray(x)
        if given.shape[1:] != self.config.image_shape:
            raise ValueError(f"images are {given.shape}, not [rows, *{self.config.image_shape}]")
        return given

    def _times(self, t: ArrayLike, rows: int) -> Tensor:
        times = self._column(t, rows)
        if not ((times >= 0) & (times <= 1)).all():
            raise ValueError(f"times outside [0, 1]: {times.tolist()}")
        return times

    def _column(self, values: ArrayLike, rows: int) -> Tensor:
        """Return one number for each row, float64."""
        given = torch.as_tensor(values, dtype=torch.float64, device=self.device)
        if given.ndim and given.shape != (rows,):
            raise ValueError(f"{tuple(given.shape)} numbers for {rows} rows")
        return given.expand(rows)


def _same_rows(*arrays: Array) -> None:
    """Raise ValueError unless all arrays have the same number of rows."""
    counts = {len(array) for array in arrays}
    if len(counts) > 1:
        raise ValueError(f"arguments of different numbers of rows: {sorted(counts)}")


def _array(tensor: Tensor) -> Array:
    return tensor.cpu().numpy()


def _last(tensor: Tensor) -> Array:
    """Return a NumPy array with channels last."""
    return _array(tensor.permute(0, 2, 3, 1).contiguous())
