"""MULAN diffusion models: the mathematics. Knows torch; knows neither HTTP nor Redis."""
