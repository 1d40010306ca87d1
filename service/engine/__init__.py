"""Step-level continuous batching: rows of any job, solver and time share one network call."""
