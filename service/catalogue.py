"""The checkpoints that can be asked for, as the API knows them: manifests alone. Torch-free."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.anomaly.calibration import Calibration
from models.schema.config import ModelConfig
from models.schema.manifest import Manifest
from models.schema.presets import Presets, presets
from service.errors import NotReady, UnknownModel

_RETRY_S = 5


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
        # All there ever were, by SHA-256: jobs outlive a model of another's name.
        self._known: dict[str, ServedModel] = {}

    def add(
        self, manifest: Manifest, execution: str, calibration: Calibration | None = None
    ) -> None:
        """Serve a checkpoint; one of the same name is replaced. Raises CheckpointError."""
        model = ServedModel(manifest, execution, presets(manifest), calibration)
        self._models[model.name] = self._known[model.checkpoint] = model

    def replace(self, models: Iterable[tuple[Manifest, str, Calibration | None]]) -> None:
        """Serve these and no others; what was served before is missed. Of several with one name
        requests get the last. Raises CheckpointError."""
        served = [
            ServedModel(manifest, execution, presets(manifest), calibration)
            for manifest, execution, calibration in models
        ]
        self._models = {model.name: model for model in served}
        self._known |= {model.checkpoint: model for model in served}

    def get(self, name: str) -> ServedModel:
        """Raises UnknownModel, or NotReady for one whose workers are gone."""
        try:
            return self._models[name]
        except KeyError:
            if any(model.name == name for model in self._known.values()):
                raise NotReady(f"no worker serves {name!r} just now", _RETRY_S) from None
            served = ", ".join(self._models) or "none"
            raise UnknownModel(f"no model is called {name!r}; served: {served}") from None

    def by_checkpoint(self, sha256: str) -> ServedModel:
        """Also one whose workers are gone: its results can be told. Raises NotReady."""
        try:
            return self._known[sha256]
        except KeyError:
            why = "no worker serves the model of this job just now"
            raise NotReady(why, _RETRY_S) from None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(tuple(self._models.values()))

    def __len__(self) -> int:
        return len(self._models)
