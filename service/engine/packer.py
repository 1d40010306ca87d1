"""Questions of several lanes in one network call."""

from collections.abc import Sequence

from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query, concat, count, split

Question = tuple[Query, Condition]


def evaluate(denoiser: Denoiser, questions: Sequence[Question]) -> list[Answer]:
    """One call for all questions, which have equally many probes; the answers in their order."""
    query, condition = concat(questions)
    answer = denoiser.evaluate(query, condition)
    return split(answer, [count(part) for part, _ in questions])
