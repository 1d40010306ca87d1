"""Examples of answers in /openapi.json: answers that the service gave, a file for each operation.

`python -m loadtests.example_answers` writes them.
"""

import json
from pathlib import Path
from typing import Any

from service.api.negotiation import JSON

FOLDER = Path(__file__).with_name("example_answers")


def attach(document: dict[str, Any]) -> None:
    """Give each operation's answer its example, where it has one."""
    for operations in document["paths"].values():
        for operation in operations.values():
            path = FOLDER / f"{operation['operationId']}.json"
            if path.exists():
                _success(operation)["content"][JSON]["example"] = json.loads(path.read_text())


def _success(operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(
        answer for status, answer in operation["responses"].items() if status.startswith("2")
    )
    return found
