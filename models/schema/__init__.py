"""What things are: configurations, manifests, solver parameters, scores, errors. Torch-free."""
