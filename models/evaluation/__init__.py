"""Measurements of checkpoints and of solvers, a folder for each subject."""
