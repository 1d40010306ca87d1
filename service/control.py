"""The control of models while the service runs: what may be asked for, whoever does it."""

from typing import NamedTuple, Protocol


class Loaded(NamedTuple):
    """The outcome of a load: the checkpoint that the name stands for from now on, and the one that
    it stood for before, None for a new name. `workers` have loaded it; `failures` has a line for
    each that could not."""

    name: str
    checkpoint: str
    before: str | None
    workers: int = 1
    failures: tuple[str, ...] = ()


class ModelControl(Protocol):
    """Loads and unloads models by name. What cannot be loaded changes nothing: the checkpoint that
    the name stood for stays in service."""

    async def load(self, name: str) -> Loaded:
        """Load the checkpoint of this name from the models folder, or read its calibration again.

        Raises UnknownModel, CheckpointRefused, NotEnoughMemory, and ComputationFailed.
        """
        ...

    async def unload(self, name: str) -> None:
        """Serve no model under this name; jobs that were admitted run to their end.

        Raises UnknownModel.
        """
        ...
