"""Anomaly verdicts: whether an image is like those that a checkpoint was calibrated on."""
