"""The photographs that a checkpoint records are found again, verified and divided as in
training."""

from models.preprocessing.loading import LoadedPicture, joint_digest
from models.schema.errors import DataError
from models.schema.manifest import DataPart, Manifest
from models.training.material import load_parts
from models.training.recipe import parse_data


def recorded_pictures(manifest: Manifest, source: str) -> dict[DataPart, list[LoadedPicture]]:
    """Return the photographs of the folder `source` by part of the checkpoint's own split.

    Raises DataError where the checkpoint records none, and where they have changed since.
    """
    rule, record, training = manifest.preprocessing, manifest.data, manifest.training
    if rule is None or record is None or training is None:
        raise DataError(f"{manifest.name} records no photographs")
    data = parse_data({**training.recipe["data"], "source": source}, manifest.name)
    _, parts = load_parts(data, rule)
    for part, pictures in parts.items():
        found = joint_digest(one.digest for one in pictures)
        if part not in record.split or found != record.split[part].sha256:
            raise DataError(
                f"{source}: the {part} pictures are not those of the training, because files were "
                "added, changed or taken away; give --normal with other good pictures"
            )
    return parts
