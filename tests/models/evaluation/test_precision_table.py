"""Answers of which a total error is asked, measured against the exact trace."""

import pytest

from models.evaluation.ode.mixture import gaussian_mixture, tokens_of
from models.evaluation.ode.precision import precision_table, precision_text
from models.schema.aims import PROBES
from models.schema.errors import EvaluationError
from models.schema.specs import Adams
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem
from models.work.solve import solve


def test_smaller_errors_are_reached_with_more_evaluations_and_are_true() -> None:
    exact = gaussian_mixture()
    table = precision_table("mixture", exact, tokens_of(exact, 8, 0), (0.5, 0.2), 4000, seed=0)
    for row in table.rows:
        assert row.reached == 1
        assert row.stated <= row.nats
        assert row.root_mean_square is not None
        assert row.covered is not None
        assert row.root_mean_square <= row.nats
        assert row.covered >= 0.85
    coarse, fine = table.rows
    assert fine.evaluations > coarse.evaluations
    assert len(precision_text(table).splitlines()) == 4


def test_an_answer_that_needs_one_solve_is_the_answer_of_that_solve() -> None:
    exact = gaussian_mixture()
    tokens = tokens_of(exact, 2, 0)
    row = precision_table("mixture", exact, tokens, (1e6,), 2000, seed=5).rows[0]
    spec = Adams(probes=PROBES)
    problem = score_problem(exact, tokens, spec, 5, draws=1)
    density = AdamsSolver().density(problem, solve(AdamsSolver(), problem, exact))
    assert row.evaluations == pytest.approx(float(density.nfe.double().mean()))


def test_what_is_out_of_reach_is_counted() -> None:
    exact = gaussian_mixture()
    row = precision_table("mixture", exact, tokens_of(exact, 4, 0), (0.1,), 200, seed=0).rows[0]
    assert row.reached < 1
    assert row.stated > 0.1


def test_an_image_that_cannot_be_scored_is_an_error() -> None:
    exact = gaussian_mixture()
    with pytest.raises(EvaluationError, match="could not be scored"):
        precision_table("mixture", exact, tokens_of(exact, 2, 0), (1.0,), 8, seed=0)
