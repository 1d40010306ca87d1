"""The learned noise schedule, and the gain from learning it."""
