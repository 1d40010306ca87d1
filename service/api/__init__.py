"""HTTP: routes by noun, problems, admission. Knows the store, no torch."""
