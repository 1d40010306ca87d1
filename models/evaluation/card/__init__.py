"""The model card: its figures, words and pictures."""
