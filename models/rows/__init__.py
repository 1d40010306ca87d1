"""Rows, the unit of work: their noise, and the denoiser that answers their queries."""
