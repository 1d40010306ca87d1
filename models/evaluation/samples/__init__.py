"""How good a checkpoint's samples are, by sampler and number of evaluations."""
