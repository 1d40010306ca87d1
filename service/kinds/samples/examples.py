"""Example requests for images."""

from typing import Any

SAMPLES: dict[str, Any] = {
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
JOBS: dict[str, Any] = {
    "default": {
        "summary": "Sixty-four images, later",
        "value": {"kind": "samples", "request": {"model": "digits", "count": 64, "seed": 7}},
    },
}
