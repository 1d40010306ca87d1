"""What makes the shipped checkpoints."""
