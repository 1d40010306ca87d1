"""How a run is watched: alike for all runs, and without a trace in the weights."""

import torch

from models.training import trainer as module
from models.training.trainer import Trainer

CPU = torch.device("cpu")


def test_runs_of_different_seeds_are_watched_with_the_same_noise(tiny, digits, tmp_path):
    averaged = Trainer(tiny(), *digits, CPU, tmp_path).averaged
    watched = set()
    for seed in (0, 1):
        trainer = Trainer(tiny(seed=seed), *digits, CPU, tmp_path)
        trainer.averaged = averaged
        watched.add(trainer._watch())
    assert len(watched) == 1


def test_how_it_is_watched_changes_no_weight(tiny, digits, tmp_path, monkeypatch):
    found = []
    for draws in (1, 2):
        monkeypatch.setattr(module, "WATCH_DRAWS", draws)
        trainer = Trainer(tiny(), *digits, CPU, tmp_path / str(draws))
        found.append((trainer.run().state_dict(), trainer.history[-1].held_out))
    (one, seen), (two, otherwise) = found
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert seen != otherwise
