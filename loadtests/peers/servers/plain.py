"""A plain FastAPI wrapper, as it is usually written: one solve at a time, behind a lock."""

import argparse
from threading import Lock
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI

from loadtests.peers.core import Choice
from loadtests.peers.servers.solving import solve_together

app = FastAPI()
lock = Lock()
denoiser = Choice.here().denoiser()


@app.post("/predict")
def predict(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request on a thread of the pool."""
    with lock:
        return solve_together(denoiser, [request])[0]


@app.get("/health")
def health() -> str:
    """Say that the model is loaded."""
    return "ok"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    torch.set_grad_enabled(False)
    uvicorn.run(app, port=parser.parse_args().port, log_level="warning")
