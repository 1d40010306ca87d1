"""Example requests for verdicts."""

from typing import Any

from service.contracts.examples import BLACK_DIGIT

ANOMALIES: dict[str, Any] = {
    "default": {"summary": "One image", "value": {"model": "digits", "images": [BLACK_DIGIT]}},
    "heatmap": {
        "summary": "Fewer false alarms, and where it is odd",
        "value": {"model": "digits", "images": [BLACK_DIGIT], "alpha": 0.01, "heatmap": True},
    },
    "overlay": {
        "summary": "The image with its heat over it",
        "value": {"model": "digits", "images": [BLACK_DIGIT], "heatmap": "overlay"},
    },
}
JOBS: dict[str, Any] = {
    "verdict": {
        "summary": "Is this image odd? When there is time",
        "value": {
            "kind": "anomalies",
            "request": {"model": "digits", "images": [BLACK_DIGIT], "priority": "low"},
        },
    },
}
