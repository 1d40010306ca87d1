"""Ways to run a checkpoint's networks, one protocol (`models.denoiser.Denoiser`)."""
