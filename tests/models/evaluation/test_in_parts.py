"""Questions with many cotangents that are put in parts."""

import torch

from models.evaluation.ode.in_parts import InParts
from models.evaluation.ode.mixture import gaussian_mixture, tokens_of
from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query
from models.runtimes.denoiser import MANY
from models.schema.specs import Adams
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem


class Counting:
    """A denoiser that remembers how many cotangents each question had."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.config, self.quantum = denoiser.config, denoiser.quantum
        self.encode, self.condition = denoiser.encode, denoiser.condition
        self.asked = list[int | None]()

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        cotangents = query.cotangents
        self.asked.append(None if cotangents is None else cotangents.shape[1])
        return self._denoiser.evaluate(query, condition)


def test_parts_have_few_cotangents_each_and_the_same_answer_together() -> None:
    exact = gaussian_mixture()
    problem = score_problem(exact, tokens_of(exact, 3, 0), Adams(trace="exact"), 0, draws=1)
    solver = AdamsSolver()
    query = solver.ask(problem, solver.init(problem))
    counting = Counting(exact)
    whole = exact.evaluate(query, problem.condition)
    parts = InParts(counting).evaluate(query, problem.condition)
    asked = [count for count in counting.asked if count is not None]
    assert sum(asked) == exact.config.dimensions
    assert max(asked) < MANY
    assert whole.vjps is not None
    assert parts.vjps is not None
    assert torch.allclose(parts.vjps, whole.vjps, rtol=1e-5, atol=1e-6)
    assert torch.equal(parts.eps, whole.eps)


def test_a_question_without_cotangents_is_put_as_it_is() -> None:
    exact = gaussian_mixture()
    problem = score_problem(exact, tokens_of(exact, 2, 0), Adams(), 0, draws=1)
    solver = AdamsSolver()
    query = solver.ask(problem, solver.init(problem))._replace(cotangents=None)
    counting = Counting(exact)
    assert InParts(counting).evaluate(query, problem.condition).vjps is None
    assert counting.asked == [None]
