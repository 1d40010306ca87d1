"""Requests that /openapi.json shows, by endpoint."""

import base64

import numpy as np

from models.files.pictures import encode_png

SAMPLES = {
    "default": {"summary": "Sixteen images", "value": {"model": "digits", "count": 16, "seed": 7}},
    "preset": {
        "summary": "Quick ones",
        "value": {"model": "digits", "count": 4, "solver": {"preset": "fast"}},
    },
    "solver": {
        "summary": "A solver by name, one latent for all",
        "value": {
            "model": "digits",
            "count": 4,
            "seed": 7,
            "solver": {"name": "ddpm", "steps": 100, "grid": "gamma"},
            "latent": [3],
            "timeout_s": 60,
        },
    },
}
_BLACK = base64.b64encode(encode_png(np.zeros((8, 8, 1), np.uint8), 17)).decode()
JOBS = {
    "default": {
        "summary": "Sixty-four images, later",
        "value": {"kind": "samples", "request": {"model": "digits", "count": 64, "seed": 7}},
    },
    "verdict": {
        "summary": "Is this image odd? When there is time",
        "value": {
            "kind": "anomalies",
            "request": {"model": "digits", "images": [_BLACK], "priority": "low"},
        },
    },
}
LIKELIHOODS = {
    "default": {"summary": "One image", "value": {"model": "digits", "images": [_BLACK]}},
    "precise": {
        "summary": "Tighter errors",
        "value": {
            "model": "digits",
            "images": [_BLACK],
            "draws": 4,
            "probes": 4,
            "tolerance_nats": 0.5,
            "seed": 0,
        },
    },
}
ANOMALIES = {
    "default": {"summary": "One image", "value": {"model": "digits", "images": [_BLACK]}},
    "heatmap": {
        "summary": "Fewer false alarms, and where it is odd",
        "value": {"model": "digits", "images": [_BLACK], "alpha": 0.01, "heatmap": True},
    },
}
