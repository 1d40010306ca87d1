"""What things are: configurations, manifests, solver parameters, scores, errors; and how files that
somebody else put there are read. Torch-free."""
