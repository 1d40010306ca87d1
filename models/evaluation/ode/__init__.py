"""Errors and costs of the solvers of the probability-flow ODE."""
