"""The trained networks of a MULAN model, their noise schedule and their training objective."""
