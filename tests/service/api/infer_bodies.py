"""Bodies of requests for inference."""

import json
from typing import Any

import numpy as np

DARK = np.arange(12, dtype=np.uint8).reshape(1, 4, 3, 1)


def tensor(name: str, datatype: str, values: Any) -> dict[str, Any]:
    """An input with its elements in the JSON."""
    found = np.array(values)
    return {"name": name, "datatype": datatype, "shape": list(found.shape), "data": found.tolist()}


def images(values: np.ndarray = DARK) -> dict[str, Any]:
    return tensor("images", "UINT8", values)


def binary(*inputs: tuple[dict[str, Any], bytes], **more: Any) -> dict[str, Any]:
    """Arguments of a request whose inputs stand behind the JSON."""
    described = []
    for one, data in inputs:
        known = {"parameters": {"binary_data_size": len(data)}, **one}
        described.append({key: value for key, value in known.items() if key != "data"})
    text = json.dumps({"inputs": described, **more}).encode()
    return {
        "content": text + b"".join(data for _, data in inputs),
        "headers": {"Inference-Header-Content-Length": str(len(text))},
    }
