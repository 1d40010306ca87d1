"""The mean over classes of densities that are written down."""

import math

import pytest
import torch
from tiny_classes import CLASSES, CONFIG
from torch import Tensor

from models.schema.specs import Adams
from models.solvers.base import RowStatus
from models.solvers.flow import LogDensity
from models.solvers.probing import TraceError
from models.work.marginal import summarise_classes

SPEC = Adams()


def densities(prior: Tensor, status: Tensor | None = None) -> LogDensity:
    """Rows whose log-density is `prior` `[classes, draws]`, by two probes that agree on 0."""
    rows = prior.flatten()
    nothing = torch.zeros_like(rows)
    done = torch.full(rows.shape, int(RowStatus.DONE)) if status is None else status.flatten()
    log_det = torch.zeros(len(rows), 2, dtype=rows.dtype)
    trace, nfe = TraceError(nothing, nothing + 1), torch.full(rows.shape, 9)
    return LogDensity(rows, log_det, trace, nothing, nothing, nothing, nfe, done)


def log_densities(draws: int) -> Tensor:
    dice = torch.Generator().manual_seed(0)
    return -50 + 3 * torch.randn(CLASSES, draws, generator=dice, dtype=torch.float64)


@pytest.mark.parametrize("draws", [1, 3])
def test_the_bound_is_the_log_of_the_mean(draws: int) -> None:
    given = log_densities(draws)
    score = summarise_classes(CONFIG, densities(given), SPEC)
    assert score.log_px_lower_bound == pytest.approx(math.log(float(given.exp().mean())))
    each = given.exp().mean(1).log().tolist()
    assert score.log_px_given_class == pytest.approx(each)
    assert score.nfe == 9 * CLASSES * draws
    assert (score.log_px_given_z, score.trace_standard_error) == (None, 0.0)


def test_a_class_far_likelier_than_all_others_is_the_mean() -> None:
    given = torch.full((CLASSES, 1), -3000.0, dtype=torch.float64)
    given[2] = -100
    score = summarise_classes(CONFIG, densities(given), SPEC)
    assert score.prior == pytest.approx(-100)
    assert score.latent == pytest.approx(-math.log(CLASSES))
    assert score.log_px_lower_bound == pytest.approx(-100 - math.log(CLASSES))


def test_classes_that_are_all_alike_cost_nothing() -> None:
    given = torch.full((CLASSES, 2), -7.0, dtype=torch.float64)
    score = summarise_classes(CONFIG, densities(given), SPEC)
    assert score.latent == pytest.approx(0)
    assert score.log_px_lower_bound == pytest.approx(-7)
    assert score.draw_standard_error == pytest.approx(0)


@pytest.mark.parametrize("value", [-math.inf, math.inf, math.nan])
def test_one_number_that_is_not_finite_is_no_score(value: float) -> None:
    given = log_densities(1)
    given[3] = value
    score = summarise_classes(CONFIG, densities(given), SPEC)
    assert score.reason == "the solution stopped being finite"
    assert (score.log_px_lower_bound, score.log_px_given_class) == (None, None)


def test_one_row_that_failed_is_the_reason() -> None:
    given = log_densities(2)
    status = torch.full(given.shape, int(RowStatus.DONE))
    status[4, 1] = int(RowStatus.STEP_TOO_SMALL)
    score = summarise_classes(CONFIG, densities(given, status), SPEC)
    assert score.reason == "the step size became too small"
