"""Example requests for schedules."""

from typing import Any

from service.contracts.examples import BLACK_DIGIT

SCHEDULES: dict[str, Any] = {
    "default": {
        "summary": "One latent, at nine times",
        "value": {"model": "digits", "latents": [[3]], "points": 9},
    },
    "several": {
        "summary": "Three latents",
        "value": {"model": "digits", "latents": [[0], [3], [8]]},
    },
    "image": {
        "summary": "The latent that an image is encoded as",
        "value": {"model": "digits", "images": [BLACK_DIGIT]},
    },
}
