"""Plain data: configurations, manifests, solver parameters, scores and errors. Torch-free."""
