"""A request's images as rows of a solver, and the finished rows as results."""
