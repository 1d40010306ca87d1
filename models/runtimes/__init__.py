"""Ways to run a checkpoint's networks, one protocol (`models.rows.denoiser.Denoiser`)."""
