"""Training of checkpoints by recipes."""
