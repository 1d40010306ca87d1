"""The unit of work: rows, their noise, and the denoiser that answers them."""
