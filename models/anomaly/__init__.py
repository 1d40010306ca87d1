"""Whether an image is like those that a checkpoint was made for."""
