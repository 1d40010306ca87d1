"""The checkpoints that can be asked for, as the API knows them: papers, no weights. Torch-free."""

from collections.abc import Iterator
from dataclasses import dataclass

from models.anomaly.calibration import Calibration
from models.config import ModelConfig
from models.manifest import Manifest
from models.presets import Presets, presets
from service.errors import UnknownModel


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One checkpoint, and `execution`: device type, runtime, dtype and build that run it. Without a
    calibration it gives no verdicts."""

    manifest: Manifest
    execution: str
    presets: Presets
    calibration: Calibration | None = None

    @property
    def name(self) -> str:
        """What requests call it."""
        return self.manifest.name

    @property
    def checkpoint(self) -> str:
        """SHA-256 of its weights: what jobs call it."""
        return self.manifest.sha256

    @property
    def config(self) -> ModelConfig:
        """Shape, vocabulary, latent."""
        return self.manifest.config


class Catalogue:
    """Served models by name, in the order in which they were added."""

    def __init__(self) -> None:
        self._models: dict[str, ServedModel] = {}

    def add(
        self, manifest: Manifest, execution: str, calibration: Calibration | None = None
    ) -> None:
        """Serve a checkpoint; one of the same name is replaced. Raises CheckpointError."""
        self._models[manifest.name] = ServedModel(
            manifest, execution, presets(manifest), calibration
        )

    def get(self, name: str) -> ServedModel:
        """Raises UnknownModel."""
        try:
            return self._models[name]
        except KeyError:
            served = ", ".join(self._models) or "none"
            raise UnknownModel(f"no model is called {name!r}; served: {served}") from None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(tuple(self._models.values()))

    def __len__(self) -> int:
        return len(self._models)
