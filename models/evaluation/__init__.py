"""What measures checkpoints."""
