"""Example requests for likelihoods."""

from typing import Any

from service.contracts.examples import BLACK_DIGIT

LIKELIHOODS: dict[str, Any] = {
    "default": {"summary": "One image", "value": {"model": "digits", "images": [BLACK_DIGIT]}},
    "precise": {
        "summary": "Tighter errors",
        "value": {
            "model": "digits",
            "images": [BLACK_DIGIT],
            "draws": 4,
            "probes": 4,
            "tolerance_nats": 0.5,
            "seed": 0,
        },
    },
}
