"""Training: the same run twice, the same run in pieces, and what stops one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.schema.errors import TrainingError
from models.training.recipe import override
from models.training.saved_state import STATE
from models.training.trainer import Trainer, noisier_times

CPU = torch.device("cpu")


class KilledError(Exception):
    """Stands for a kill in the middle of a run."""


class KilledTrainer(Trainer):
    """Dies before it takes the step `at`."""

    at = 0

    def _update(self, batch):
        if self.step == self.at:
            raise KilledError
        return super()._update(batch)


def train(recipe, digits, work):
    trainer = Trainer(recipe, *digits, CPU, work)
    return trainer.run().state_dict(), trainer


def kill(recipe, digits, work, at):
    trainer = KilledTrainer(recipe, *digits, CPU, work)
    trainer.at = at
    with pytest.raises(KilledError):
        trainer.run()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def straight(tiny, digits, tmp_path_factory):
    """Weights and trainer of a run that nothing disturbed; 11 steps, saved at 4, 8 and 11."""
    return train(tiny(), digits, tmp_path_factory.mktemp("straight"))


def without_time(history):
    return [entry._replace(seconds=0.0) for entry in history]


def test_the_seed_determines_the_weights(tiny, digits, straight, tmp_path):
    torch.manual_seed(99)
    weights, trainer = train(tiny(), digits, tmp_path)
    assert same(weights, straight[0])
    assert without_time(trainer.history) == without_time(straight[1].history)


def test_another_seed_draws_other_noise(tiny, digits, tmp_path):
    """From the same weights and the same batch; torch reads only 32 bits of a seed."""
    totals = set()
    for seed in (0, 1, 2):
        trainer = Trainer(tiny(seed=seed), *digits, CPU, tmp_path)
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.fill_(0.01)
        totals.add(trainer._update(trainer.batches.images[:32])[0].item())
    assert len(totals) == 3


@pytest.mark.parametrize("at", [2, 4, 6, 8, 10])
def test_a_killed_run_goes_on_as_if_nothing_had_been(tiny, digits, straight, tmp_path, at):
    kill(tiny(), digits, tmp_path, at)
    weights, trainer = train(tiny(), digits, tmp_path)
    assert same(weights, straight[0])
    assert without_time(trainer.history) == without_time(straight[1].history)
    kept, whole = (load_file(run.work / STATE) for run in (trainer, straight[1]))
    assert same(kept, whole)


def test_a_run_killed_again_and_again(tiny, digits, straight, tmp_path):
    for at in (3, 5, 5, 9):
        kill(tiny(), digits, tmp_path, at)
    assert same(train(tiny(), digits, tmp_path)[0], straight[0])


SCRIPT = """
import os, signal, sys, pathlib, torch
from tiny_recipe import TINY
from models.files.images import divide, load_tokens
from models.training.recipe import parse_recipe
from models.training.trainer import Trainer

class Doomed(Trainer):
    def _update(self, batch):
        if self.step == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._update(batch)

torch.set_num_threads(1)
images = load_tokens("digits")
parts = divide(len(images), TINY["data"]["split"], 0)
Doomed(
    parse_recipe(TINY, "tiny"), images[parts["train"]], images[parts["density"]],
    torch.device("cpu"), pathlib.Path(sys.argv[1]),
).run()
"""


def test_a_process_that_was_really_killed(tiny, digits, straight, tmp_path):
    here = Path(__file__).resolve().parent
    paths = os.pathsep.join([str(here), str(here.parents[2])])
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == [STATE]
    weights, trainer = train(tiny(), digits, tmp_path)
    assert same(weights, straight[0])
    assert [entry.step for entry in trainer.history] == [4, 8, 11]


def test_a_finished_run_is_not_trained_further(tiny, digits, straight):
    before = (straight[1].work / STATE).read_bytes()
    weights, trainer = train(tiny(), digits, straight[1].work)
    assert same(weights, straight[0])
    assert trainer.step == 11
    assert (straight[1].work / STATE).read_bytes() == before


def test_history(straight, tiny):
    """One entry every 4 steps and one at the end; times only grow, and survive a resume."""
    history = straight[1].history
    assert [entry.step for entry in history] == [4, 8, 11]
    assert np.all(np.diff([0.0, *(entry.seconds for entry in history)]) > 0)
    latent = np.log(tiny().model.latent_size)
    for entry in history:
        assert 0 <= entry.latent <= latent
        assert 0 < entry.held_out < 20


def test_time_of_both_runs_counts(tiny, digits, tmp_path):
    kill(tiny(), digits, tmp_path, 6)
    trainer = Trainer(tiny(), *digits, CPU, tmp_path)
    trainer._resume()
    saved = trainer.history[-1].seconds
    trainer.run()
    assert trainer.history[-1].seconds > saved > 0


def test_another_recipe_is_refused(tiny, digits, straight):
    with pytest.raises(TrainingError, match="another recipe"):
        train(tiny(learning_rate=1e-3), digits, straight[1].work)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 100])
def test_a_damaged_save_is_refused(tiny, digits, tmp_path, content):
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(TrainingError, match=STATE):
        train(tiny(), digits, tmp_path)


def test_divergence_stops_the_run_and_is_not_saved(tiny, digits, tmp_path):
    class Poisoned(Trainer):
        def _update(self, batch):
            if self.step == 5:
                with torch.no_grad():
                    self.model.score.conv_out.bias.fill_(torch.nan)
            return super()._update(batch)

    trainer = Poisoned(tiny(), *digits, CPU, tmp_path)
    with pytest.raises(TrainingError, match="diverged before step 8"):
        trainer.run()
    kept = load_file(tmp_path / STATE)
    assert all(tensor.isfinite().all() for tensor in kept.values())


def test_the_latent_term_splits_in_two(straight):
    """What z tells is a part of its KL, the rest not negative."""
    for entry in straight[1].history:
        assert 0 <= entry.information <= entry.latent + 1e-6


def moved(trainer, part):
    before = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    trainer.model.train()
    trainer._update(trainer._batch())
    return not same(part.state_dict(), before)


@pytest.mark.parametrize(("head_start", "reached"), [(0, True), (1, False)])
def test_the_encoder_has_its_head_start(tiny, digits, tmp_path, head_start, reached):
    """Without prices, only the diffusion term can move it; the rest learns from the first step."""
    settings = {
        "information_price": 0.0,
        "aggregate_price": 0.0,
        "weight_decay": 0.0,
        "encoder_head_start": head_start,
    }
    trainer = Trainer(tiny(**settings), *digits, CPU, tmp_path)
    assert moved(trainer, trainer.model.encoder) == reached
    assert moved(trainer, trainer.model.score)
    trainer.step = 1
    assert moved(trainer, trainer.model.encoder)


def test_a_reward_makes_the_latent_tell(tiny, digits, tmp_path):
    """At the paper's prices a tiny model's z tells nothing; rewarded, it does."""
    rewarded = {"information_price": -20.0, "aggregate_price": 50.0, "encoder_head_start": 60}
    told = [
        train(tiny(steps=60, held_out_every=60, **prices), digits, tmp_path / str(index))[1]
        .history[-1]
        .information
        for index, prices in enumerate(({}, rewarded))
    ]
    assert told[1] > 10 * told[0]


def test_a_weight_on_high_noise_changes_the_weights_not_the_figure(tiny, digits, tmp_path):
    """The first loss is of the same weights, and reported without the weight."""
    totals, weights = [], []
    for coarse in (0.0, 10.0):
        trainer = Trainer(tiny(coarse_weight=coarse), *digits, CPU, tmp_path)
        totals.append(trainer._update(trainer._batch()))
        weights.append(trainer.model.state_dict())
    assert torch.equal(*totals)
    assert not same(*weights)


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_times_of_the_noisier_half(share):
    """Weighted, their moments are those of uniform times."""
    t = (torch.arange(100_000).double() + 0.5) / 100_000
    moved, weight = noisier_times(t, share)
    assert ((moved >= 0) & (moved <= 1)).all()
    assert (moved > 0.5).double().mean().item() == pytest.approx((1 + share) / 2, abs=1e-4)
    for power in range(4):
        moment = (weight * moved**power).mean().item()
        assert moment == pytest.approx(1 / (power + 1), abs=1e-4)
    if not share:
        assert torch.equal(moved, t)


def test_more_noisy_times_are_for_training_only(tiny, digits, tmp_path):
    watched, totals = [], []
    for share in (0.0, 0.6):
        trainer = Trainer(tiny(noisy_share=share), *digits, CPU, tmp_path)
        watched.append(trainer._watch())
        totals.append(trainer._update(trainer._batch()))
    assert watched[0] == watched[1]
    assert not torch.equal(*totals)


def test_half_precision_is_deterministic_too(tiny, digits, straight, tmp_path):
    runs = [train(tiny(precision="bfloat16"), digits, tmp_path / name) for name in "ab"]
    assert same(runs[0][0], runs[1][0])
    assert not same(runs[0][0], straight[0])
    assert runs[0][1].history[-1].held_out == pytest.approx(
        straight[1].history[-1].held_out, rel=0.05
    )


def test_every_image_is_seen_once_an_epoch(tiny, digits, tmp_path):
    """100 images in batches of 32: three batches an epoch, and four images left out."""
    trainer = Trainer(tiny(), *digits, CPU, tmp_path)
    trainer.batches.images = torch.arange(100)
    seen = []
    for trainer.step in range(6):
        seen.append(trainer._batch())
    for epoch in (seen[:3], seen[3:]):
        assert len(torch.cat(epoch).unique()) == 96
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))


def test_fewer_images_than_a_batch(tiny, digits, tmp_path):
    images, held_out = digits
    trainer = Trainer(tiny(steps=3), images[:7], held_out, CPU, tmp_path)
    trainer.run()
    assert trainer.step == 3


def test_learning_rate(tiny, digits, tmp_path):
    trainer = Trainer(tiny(steps=100, warmup_steps=10), *digits, CPU, tmp_path)
    factors = []
    for trainer.step in range(100):
        factors.append(trainer._rate_factor())
    assert factors[0] == pytest.approx(0.1)
    assert np.all(np.diff(factors[:10]) > 0)
    assert np.all(np.diff(factors[10:]) < 0)
    assert factors[50] == pytest.approx(0.5)
    assert factors[99] < 1e-3


def test_the_schedule_may_learn_at_its_own_rate(tiny, digits, tmp_path):
    """Adam's first step has the size of its rate, whatever the gradient."""
    moves = {}
    for factor in (1.0, 10.0):
        trainer = Trainer(tiny(schedule_rate=factor, weight_decay=0.0), *digits, CPU, tmp_path)
        before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        trainer._update(trainer._batch())
        after = trainer.model.state_dict()
        moves[factor] = {name: (after[name] - before[name]).abs().max() for name in before}
    for name, move in moves[10.0].items():
        times = 10 if name.startswith("gamma.") else 1
        torch.testing.assert_close(move, times * moves[1.0][name], rtol=1e-3, atol=1e-7)
    assert moves[1.0]["gamma.dense_out_a.bias"] > 0


@pytest.mark.parametrize("latent_size", [1, 6])
def test_the_schedule_may_begin_linear_and_learns_all_the_same(tiny, digits, tmp_path, latent_size):
    model = {"latent_size": latent_size, "latent_k": 1}
    trainers = [
        Trainer(override(tiny(**start), model=model), *digits, CPU, tmp_path)
        for start in ({}, {"schedule_start": "linear"})
    ]
    random, linear = (trainer.model for trainer in trainers)
    latents, half = torch.eye(latent_size), torch.full((latent_size,), 0.5)
    middle = (random.config.gamma_min + random.config.gamma_max) / 2
    with torch.no_grad():
        assert random.gamma(latents).gamma(half).std() > 0.01
        straight = linear.gamma(latents).gamma(half)
    torch.testing.assert_close(straight, torch.full_like(straight, middle))
    assert same(random.score.state_dict(), linear.score.state_dict())
    for trainers[1].step in range(2):
        trainers[1]._update(trainers[1]._batch())
    with torch.no_grad():
        assert linear.gamma(latents).gamma(half)[0].std() > 1e-5


def test_a_fixed_schedule_begins_as_it_stays(tiny, digits, tmp_path):
    recipe = override(tiny(schedule_start="linear"), model={"latent_size": 0, "latent_k": 0})
    plain = override(tiny(), model={"latent_size": 0, "latent_k": 0})
    found = [Trainer(one, *digits, CPU, tmp_path).model.state_dict() for one in (recipe, plain)]
    assert same(*found)


def test_by_default_all_weights_learn_at_one_rate(tiny, digits, tmp_path):
    """AdamW with one group for all, as there was before the schedule had a rate."""
    found = []
    for grouped in (True, False):
        trainer = Trainer(tiny(), *digits, CPU, tmp_path)
        if not grouped:
            trainer.optimiser = torch.optim.AdamW(
                [{"params": list(trainer.model.parameters()), "factor": 1.0}],
                weight_decay=trainer.settings.weight_decay,
            )
        for trainer.step in range(3):
            trainer._update(trainer._batch())
        found.append(trainer.model.state_dict())
    assert same(*found)


@pytest.mark.parametrize("latent_size", [0, 1])
def test_a_run_without_an_encoder_goes_on_after_a_kill(tiny, digits, tmp_path, latent_size):
    recipe = override(tiny(), model={"latent_size": latent_size, "latent_k": latent_size})
    kill(recipe, digits, tmp_path / "killed", 6)
    weights, trainer = train(recipe, digits, tmp_path / "killed")
    assert same(weights, train(recipe, digits, tmp_path / "straight")[0])
    assert {(entry.latent, entry.information) for entry in trainer.history} == {(0, 0)}


@pytest.mark.parametrize("latent_noise", ["sum-of-gamma", "official"])
def test_the_bound_falls(tiny, digits, tmp_path, latent_noise):
    """60 steps on real digits, seen in the held-out images and in the batches."""
    recipe = tiny(
        steps=60,
        held_out_every=20,
        ema=0.9,
        learning_rate=1e-2,
        latent_noise=latent_noise,
    )
    bits = recipe.model.dimensions * np.log(2)
    untrained = Trainer(recipe, *digits, CPU, tmp_path)._watch() / bits
    _, trainer = train(recipe, digits, tmp_path)
    held_out = [untrained, *(entry.held_out for entry in trainer.history)]
    assert np.all(np.diff(held_out) < 0)
    assert held_out[-1] < 0.6 * untrained
    assert trainer.history[-1].total < trainer.history[0].total
