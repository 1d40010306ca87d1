"""Requests as rows of a solver, and finished rows as results."""
