"""Likelihoods of a checkpoint's test images, by several estimators."""
