"""Files: folders that are written whole, the shelf of checkpoints, images as tokens and as PNGs."""
