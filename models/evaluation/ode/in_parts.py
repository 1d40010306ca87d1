"""Many pull-backs of many rows, a few at a time."""

import torch

from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query
from models.runtimes.denoiser import MANY


class InParts:
    """A denoiser that puts questions with many cotangents as several questions with fewer.

    A network evaluates each row with many cotangents on as many copies of the row. Where there are
    many rows, as there are where a trace is measured, it is cheaper to ask for fewer cotangents at
    a time, because those share one forward pass.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.config, self.quantum = denoiser.config, denoiser.quantum
        self.encode, self.condition = denoiser.encode, denoiser.condition

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        """Return the denoiser's answer, up to its rounding."""
        if query.cotangents is None:
            return self._denoiser.evaluate(query, condition)
        answers = [
            self._denoiser.evaluate(query._replace(cotangents=part), condition)
            for part in torch.split(query.cotangents, MANY - 1, dim=1)
        ]
        pulled = [answer.vjps for answer in answers if answer.vjps is not None]
        return Answer(answers[0].eps, torch.cat(pulled, dim=1))
