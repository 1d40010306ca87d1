"""`mulan models prepare`: gives a checkpoint a rule for photographs."""

from pathlib import Path

from models.checkpoints.checkpoint import save_manifest
from models.cli.lazy import Outcome
from models.preprocessing.record import PICTURES
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest, read_manifest
from models.schema.preprocessing import CHANNELS, PictureRule, Resize, Scale


def prepare(folder: Path, scale: float | None, remove: bool) -> Outcome:
    """Write the rule into the manifest, or take it away."""
    manifest = read_manifest(folder)
    if (folder / PICTURES).exists():
        raise CheckpointError(
            f"{folder}: this checkpoint was trained on photographs; its rule is not to be changed"
        )
    rule = None if remove else _rule(manifest, scale)
    save_manifest(folder, manifest.model_copy(update={"preprocessing": rule}))
    record = {
        "folder": str(folder),
        "preprocessing": None if rule is None else rule.model_dump(mode="json"),
    }
    if rule is None:
        return Outcome(record, f"{folder}: images must have the model's shape and levels again")
    size = "whole" if scale is None else f"in tiles at {scale:g} of their size"
    return Outcome(
        record,
        f"{folder}: photographs are taken {size}\n"
        f"next: mulan models calibrate {folder} --normal GOOD",
    )


def _rule(manifest: Manifest, scale: float | None) -> PictureRule:
    height, width, channels = manifest.config.image_shape
    modes = {count: mode for mode, count in CHANNELS.items()}
    if channels not in modes:
        raise CheckpointError(f"{manifest.name} has {channels} channels; photographs have 1 or 3")
    return PictureRule.model_validate(
        {
            "mode": modes[channels],
            "size": Resize(height=height, width=width) if scale is None else Scale(factor=scale),
            "tile": (height, width),
            "stride": (height, width),
            "levels": manifest.config.vocabulary,
        }
    )
