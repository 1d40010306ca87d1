"""Requests and answers of the model repository."""

from typing import Any, Literal

from pydantic import Field

from service.contracts.base import Checkpoint, RequestModel, ResponseModel


class RepositoryRequest(RequestModel):
    """A request to load or unload a model, which may as well have no body."""

    parameters: dict[str, Any] = Field(
        default_factory=dict,
        examples=[{"unload_dependents": False}],
        description="Parameters of the protocol; only `unload_dependents` is taken, and it has no "
        "effect.",
    )


class RepositoryResponse(ResponseModel):
    """A model after it was loaded or unloaded."""

    name: str
    state: Literal["READY", "UNAVAILABLE"] = Field(
        description="READY for a model that is served, UNAVAILABLE for one that is not."
    )
    checkpoint: Checkpoint | None = Field(
        None, description="SHA-256 of the weights that the name stands for now."
    )
    checkpoint_before: Checkpoint | None = Field(
        None, description="SHA-256 of the weights that it stood for before; null for a new name."
    )
    workers: int = Field(0, description="Number of workers that have loaded it.")
    failures: tuple[str, ...] = Field(
        (), description="A line for each worker of a fleet that could not load it."
    )
