"""Minimisation of the negative ELBO, deterministic by seed and resumable after a kill."""

import copy
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from models.files.images import Tokens
from models.network.encoder import (
    GAMMA_TERMS,
    mutual_information,
    official_noise,
    relaxed_top_k,
    sum_of_gamma,
    top_k,
)
from models.network.mulan import Mulan, ScheduleNetwork
from models.network.objective import Elbo, negative_elbo
from models.network.pixels import tokens_to_data
from models.schema.errors import TrainingError
from models.training import saved_state
from models.training.batches import Batches, ImageBatches, first_channels
from models.training.recipe import Optimisation, Recipe
from models.training.saved_state import STATE, Progress, SavedState

WATCHED = 1000
# Held-out images are evaluated with the same noise in every run, several draws for each image, so
# that curves of different seeds can be compared.
WATCH_SEED, WATCH_DRAWS = 0, 4
EMA_RAMP = 10
# torch's CPU generator reads 32 bits of a seed; this factor spreads different seeds over them.
SEED_STRIDE = 0x9E3779B1


class Trainer:
    """The training of one model.

    Step n takes its batch and all its noise, dropout included, from (seed, n) alone. A run that was
    killed therefore resumes from its last save and ends with the weights it would have had.
    """

    def __init__(
        self,
        recipe: Recipe,
        images: Tokens | Batches,
        held_out: Tokens,
        device: torch.device,
        work: Path,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        """Prepare a run on `images` `[N, H, W, C]`, or on batches made otherwise.

        `held_out` `[N, H, W, C]` are other images, evaluated during training. The folder `work`
        keeps the saved state. Training begins with the weights `start`, or with random ones.
        """
        self.recipe = recipe
        self.settings: Optimisation = recipe.optimisation
        self.device = device
        self.work = work
        self.batches: Batches = (
            ImageBatches(images, device) if isinstance(images, np.ndarray) else images
        )
        self.held_out = first_channels(held_out[:WATCHED], device)
        self.model = untrained(recipe, device)
        if start is not None:
            self.model.load_state_dict(start)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimiser = _optimiser(self.model, self.settings)
        self.history: list[Progress] = []
        self.step = 0

    @property
    def seconds(self) -> float:
        """Seconds of training until the last look."""
        return self.history[-1].seconds if self.history else 0.0

    def run(
        self,
        on_look: Callable[[], object] = lambda: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Mulan:
        """Train to the end from the last save, and return the averaged model.

        `on_look` is called after each evaluation of the held-out images, when the state is saved.
        Where `stopped` says so, the run looks, saves and ends after the present step. Raises
        TrainingError when the loss diverges, and when the save belongs to another recipe.
        """
        self._resume()
        self.model.train()
        steps, every = self.settings.steps, self.settings.held_out_every
        started = time.monotonic() - self.seconds
        totals: list[Tensor] = []
        stopping = stopped()
        with tqdm(initial=self.step, total=steps, unit="step", file=sys.stderr) as bar:
            while self.step < steps and not stopping:
                totals.append(self._update(self._batch()))
                self.step += 1
                bar.update()
                stopping = stopped()
                if self.step % every == 0 or self.step == steps or stopping:
                    entry = self._summarise(totals, time.monotonic() - started)
                    bar.set_postfix_str(
                        f"{entry.total:.3f}, held out {entry.held_out:.3f} bits/dim"
                    )
                    self.history.append(entry)
                    totals.clear()
                    self._save()
                    on_look()
        return self.averaged

    def is_best(self) -> bool:
        """Return whether the last look had the fewest held-out bits/dim so far."""
        return self.history[-1].held_out <= min(entry.held_out for entry in self.history)

    def time_steps(self, count: int) -> float:
        """Return the seconds of one step, measured on `count` of them after a first one.

        The model is trained by them, so that this trainer is of no other use.
        """
        self.model.train()
        for index in range(count + 1):
            if index == 1:
                began = time.monotonic()
            self._update(self._batch())
            self.step += 1
        return (time.monotonic() - began) / count

    def _update(self, batch: Tensor) -> Tensor:
        """Take one optimiser step.

        Returns the negative ELBO, its latent term and the information that z carries, in nats.
        """
        torch.manual_seed((self.settings.seed * SEED_STRIDE + self.step) % 2**32)
        half = torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"
        )
        with half:
            terms, logits = self._elbo(self.model, batch, perturbed=True)
        information = mutual_information(logits)
        latent = terms.latent.mean()
        # Reconstruction and prior do not depend on parameters. With both prices at 1 the next two
        # terms add up to the latent term.
        loss = (terms.diffusion + self.settings.coarse_weight * terms.coarse).mean()
        loss = loss + self.settings.information_price * information
        loss = loss + self.settings.aggregate_price * (latent - information)
        loss = loss / self.recipe.model.dimensions
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * group["factor"] * self._rate_factor()
        self.optimiser.step()
        self._average()
        return torch.stack([terms.total.mean(), latent, information]).detach()

    def _elbo(self, model: Mulan, batch: Tensor, perturbed: bool) -> tuple[Elbo, Tensor]:
        """Return the negative ELBO of a batch at evenly spread times, and the encoder's logits
        `[rows, n]`.

        The noise comes from torch's global generator.
        """
        config, rows = self.recipe.model, len(batch)
        t = (torch.rand((), device=self.device) + torch.arange(rows, device=self.device) / rows) % 1
        t, weight = noisier_times(t, self.settings.noisy_share if perturbed else 0.0)
        epsilon0, epsilon = torch.randn(2, *batch.shape, device=self.device)
        logits = model.encoder(tokens_to_data(batch, config).float()).float()
        latent = top_k(logits, config.latent_k)
        if perturbed and config.encodes:
            shape = (GAMMA_TERMS, rows, config.latent_size)
            draws = torch.distributions.Gamma(1 / config.latent_k, 1.0).sample(shape)
            noise = official_noise if self.settings.latent_noise == "official" else sum_of_gamma
            noisy = logits + noise(draws.to(self.device), config.latent_k)
            latent = relaxed_top_k(noisy, config.latent_k)
            if self.step < self.settings.encoder_head_start:
                latent = latent.detach()
        terms = negative_elbo(model, batch, latent, logits, t, epsilon0, epsilon)
        weighted = {"diffusion": weight * terms.diffusion, "coarse": weight * terms.coarse}
        return terms._replace(**weighted), logits

    @torch.no_grad()
    def _watch(self) -> float:
        """Return the negative ELBO of the held-out images in nats, with the same noise in every
        run."""
        torch.manual_seed(WATCH_SEED)
        batches = torch.split(self.held_out, self.settings.batch_size)
        totals = [
            self._elbo(self.averaged, part, perturbed=False)[0].total
            for part in batches
            for _ in range(WATCH_DRAWS)
        ]
        return float(torch.cat(totals).double().mean())

    def _batch(self) -> Tensor:
        """Return the current step's batch."""
        return self.batches.batch(self.step, self.settings.batch_size, self.settings.seed)

    def _rate_factor(self) -> float:
        """Return the factor of the learning rate: a linear warm-up, then a cosine decay."""
        ramp = _ramp(self.step, self.settings.warmup_steps)
        if not self.settings.decay:
            return ramp
        return ramp * 0.5 * (1 + math.cos(math.pi * self.step / self.settings.steps))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (EMA_RAMP + self.step))
        parameters = zip(self.averaged.parameters(), self.model.parameters(), strict=True)
        for average, parameter in parameters:
            average.lerp_(parameter, 1 - decay)

    def _summarise(self, totals: list[Tensor], seconds: float) -> Progress:
        """Return a line of the history. Raises TrainingError when the loss is NaN or infinite."""
        total, latent, information = torch.stack(totals).double().mean(0).tolist()
        if not math.isfinite(total):
            raise TrainingError(f"the loss diverged before step {self.step}")
        bits = self.recipe.model.dimensions * math.log(2)
        return Progress(self.step, total / bits, self._watch() / bits, latent, information, seconds)

    def _save(self) -> None:
        saved_state.write(
            self.work / STATE,
            SavedState(self.step, self.recipe.record(), self.history),
            self.model,
            self.averaged,
            self.optimiser,
        )

    def _resume(self) -> None:
        """Restore a saved run, if there is one."""
        path = self.work / STATE
        if not path.is_file():
            return
        saved, tensors = saved_state.read(path, self.device)
        if not self.recipe.prolongs(saved.recipe):
            raise TrainingError(f"{path} belongs to another recipe; delete it or train elsewhere")
        saved_state.restore(tensors, saved.step, self.model, self.averaged, self.optimiser)
        self.step, self.history = saved.step, saved.history


def untrained(recipe: Recipe, device: torch.device) -> Mulan:
    """Return the network of a recipe with the weights that training begins with, by its seed."""
    torch.manual_seed(recipe.optimisation.seed)
    model = Mulan(recipe.model).to(device)
    if recipe.optimisation.schedule_start == "linear" and isinstance(model.gamma, ScheduleNetwork):
        model.gamma.straighten()
    return model


def _optimiser(model: Mulan, settings: Optimisation) -> torch.optim.Optimizer:
    """Return AdamW, in which the schedule's weights have a factor of the learning rate."""
    schedule = list(model.gamma.parameters())
    others = [*model.encoder.parameters(), *model.score.parameters()]
    return torch.optim.AdamW(
        [
            {"params": others, "factor": 1.0},
            {"params": schedule, "factor": settings.schedule_rate},
        ],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )


def noisier_times(t: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Move times `t` `[rows]`, uniform on [0, 1), so that a `share` of them lies in [1/2, 1).

    The rest stays uniform on [0, 1). Returns the moved times and 1 over their density, `[rows]`
    each.
    """
    turn = (1 - share) / 2
    early = t < turn
    moved = torch.where(early, t / (1 - share), 0.5 + (t - turn) / (1 + share))
    return moved, torch.where(early, 1 / (1 - share), 1 / (1 + share))


def _ramp(step: int, length: int) -> float:
    """Return a factor that rises linearly from near 0 to 1 over `length` steps."""
    return min(1.0, (step + 1) / length) if length else 1.0
