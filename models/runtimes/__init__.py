"""Runtimes: ways to run a checkpoint's networks behind `models.rows.denoiser.Denoiser`."""
