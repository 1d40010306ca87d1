"""Ids of rows inside the engine: a job's number in the upper bits, the row's number within the
job in the lower."""

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
ROW_BITS = 32


def row_ids(job: int, rows: NDArray[np.int64]) -> Ids:
    """Return the ids of a job's rows, which are unique among all jobs."""
    return (job << ROW_BITS) | rows


def jobs_of(ids: Ids) -> NDArray[np.int64]:
    """Return the job of each row."""
    return ids >> ROW_BITS


def by_job(ids: Ids) -> list[tuple[int, NDArray[np.intp]]]:
    """Return each job that has rows among `ids`, with the positions of these rows, ascending."""
    jobs = jobs_of(ids)
    order = np.argsort(jobs, kind="stable")
    numbers, starts = np.unique(jobs[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)) if len(ids) else []


def rows_of(ids: Ids) -> NDArray[np.int64]:
    """Return the number of each row within its job."""
    return ids & ((1 << ROW_BITS) - 1)
