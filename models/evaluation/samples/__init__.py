"""The quality of a checkpoint's samples, by sampler and number of evaluations."""
