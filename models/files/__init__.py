"""Reading and writing: folders, the shelf of checkpoints, images as tokens and as pictures."""
