"""Ids of rows inside the engine: a job's number in the upper bits, the row's number within the
job in the lower."""

import itertools

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
    if not len(ids):
        return []
    jobs = jobs_of(ids)
    order = np.argsort(jobs, kind="stable")
    numbers = jobs[order]
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(ids)]
    return [(int(numbers[first]), order[first:last]) for first, last in itertools.pairwise(starts)]


def are_among(ids: Ids, others: Ids) -> NDArray[np.bool_]:
    """Return for each of `ids` whether it is among `others`."""
    if ids is others:
        return np.ones(len(ids), np.bool_)
    # For the few rows of an engine a set is several times as fast as a search in sorted arrays.
    wanted = set(others.tolist())
    return np.fromiter((number in wanted for number in ids.tolist()), np.bool_, len(ids))


def rows_of(ids: Ids) -> NDArray[np.int64]:
    """Return the number of each row within its job."""
    return ids & ((1 << ROW_BITS) - 1)
