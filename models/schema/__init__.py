"""Torch-free definitions: configurations, manifests, solver parameters, scores, errors; and the
reading of files that others provide."""
