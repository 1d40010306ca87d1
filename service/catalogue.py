"""The checkpoints that requests may name, as the API knows them: by manifest, without torch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.anomaly.kept import AnyCalibration
from models.schema.config import ModelConfig
from models.schema.manifest import Manifest
from models.schema.presets import Presets, presets
from service.errors import NotReady, UnknownModel

_RETRY_S = 5


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A checkpoint that is served. `execution` names the device type, runtime, dtype and build that
    run it. A checkpoint without a calibration gives no verdicts."""

    manifest: Manifest
    execution: str
    presets: Presets
    calibration: AnyCalibration | None = None

    @property
    def name(self) -> str:
        """The name that requests use."""
        return self.manifest.name

    @property
    def checkpoint(self) -> str:
        """The SHA-256 of the weights, by which jobs name the checkpoint."""
        return self.manifest.sha256

    @property
    def config(self) -> ModelConfig:
        """The configuration of the model, with the shape and vocabulary of its images."""
        return self.manifest.config


class Catalogue:
    """The served models by name, in the order in which they were added. `unloaded` are names that
    an operator took out of service."""

    def __init__(self) -> None:
        self._models: dict[str, ServedModel] = {}
        # All models that were ever served, by SHA-256: jobs outlive the models that made them.
        self._known: dict[str, ServedModel] = {}
        self.unloaded: frozenset[str] = frozenset()

    def add(
        self, manifest: Manifest, execution: str, calibration: AnyCalibration | None = None
    ) -> None:
        """Serve a checkpoint, in place of one of the same name. Raises CheckpointError."""
        model = ServedModel(manifest, execution, presets(manifest), calibration)
        self._models[model.name] = self._known[model.checkpoint] = model

    def replace(
        self,
        models: Iterable[tuple[Manifest, str, AnyCalibration | None]],
        unloaded: Iterable[str] = (),
    ) -> None:
        """Serve these models and no others. Of several with one name, requests get the last.

        `unloaded` are names that an operator took out of service: they are unknown, and not missed.
        Raises CheckpointError.
        """
        served = [
            ServedModel(manifest, execution, presets(manifest), calibration)
            for manifest, execution, calibration in models
        ]
        self._models = {model.name: model for model in served}
        self.unloaded = frozenset(unloaded)
        self._known |= {model.checkpoint: model for model in served}

    def get(self, name: str) -> ServedModel:
        """Return the model of this name.

        Raises UnknownModel, or NotReady if its workers have left.
        """
        try:
            return self._models[name]
        except KeyError:
            missed = name not in self.unloaded
            if missed and any(model.name == name for model in self._known.values()):
                raise NotReady(f"no worker serves {name!r} at the moment", _RETRY_S) from None
            served = ", ".join(self._models) or "none"
            raise UnknownModel(f"no model is called {name!r}; served: {served}") from None

    def by_checkpoint(self, sha256: str) -> ServedModel:
        """Return the model of a checkpoint, even if its workers have left: its results can be read.

        Raises NotReady for a checkpoint that was never served here.
        """
        try:
            return self._known[sha256]
        except KeyError:
            why = "no worker serves the model of this job at the moment"
            raise NotReady(why, _RETRY_S) from None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(tuple(self._models.values()))

    def __len__(self) -> int:
        return len(self._models)
