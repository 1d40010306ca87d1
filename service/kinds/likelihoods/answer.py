"""Scores as an answer."""

from dataclasses import asdict
from math import isfinite

from models.schema.scores import Score
from service.kind import Finished
from service.kinds.likelihoods.contract import (
    ImageScore,
    LikelihoodResponse,
    LikelihoodSettings,
    ScoreTerms,
)
from service.kinds.likelihoods.task import ScoreResult, ScoreTask


def answer(finished: Finished[ScoreTask, ScoreResult]) -> LikelihoodResponse:
    """The answer as JSON."""
    job, result, task = finished.job, finished.result, finished.job.task
    solver = task.solver
    return LikelihoodResponse(
        id=job.id,
        model=job.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        results=tuple(_score(index, score) for index, score in enumerate(result.scores)),
        settings=LikelihoodSettings(
            draws=task.draws,
            probes=None if solver.trace == "exact" else solver.probes,
            trace=solver.trace,
            latent=solver.latent,
            tolerance_nats=solver.tolerance_nats,
            max_evaluations=solver.max_evaluations,
            seed=task.seed,
        ),
        timing=finished.timing,
    )


def _score(index: int, score: Score) -> ImageScore:
    """One result; a number that is not finite makes it a failure, never a number."""
    values = asdict(score)
    terms = {name: values.pop(name) for name in ScoreTerms.model_fields}
    numbers = {name: value for name, value in (values | terms).items() if name != "reason"}
    if score.ok and not all(value is None or isfinite(value) for value in numbers.values()):
        return _score(index, Score(nfe=score.nfe, reason="the likelihood is not finite"))
    return ImageScore(
        index=index,
        status="ok" if score.ok else "failed",
        terms=ScoreTerms(**terms),
        **values,
    )
