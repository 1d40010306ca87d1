"""The images that a checkpoint records are found again, verified and divided as in training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.evaluation.recorded_pictures import recorded_pictures
from models.files.images import (
    NAMED,
    Labels,
    Tokens,
    digest,
    divide,
    fingerprint,
    load_images,
    load_labels,
)
from models.preprocessing.folder import scan
from models.preprocessing.loading import load_pictures
from models.preprocessing.tiles import cut_all
from models.schema.errors import DataError
from models.schema.manifest import DataPart, Manifest


@dataclass(frozen=True)
class RecordedData:
    """The images that a checkpoint records, by part of its own split.

    `data` and `test_data` say where they lie, if not under the names in the manifest; `data` may be
    a folder of both. An imported checkpoint records no images: all that is given counts as test
    images.
    """

    manifest: Manifest
    data: str | None = None
    test_data: str | None = None

    def images(self, part: DataPart) -> Tokens:
        """Return the tokens `[N, H, W, C]` of one part.

        Raises DataError when the images or their division differ from the recorded ones.
        """
        if self.manifest.preprocessing is not None:
            return self._tiles(part)
        given = self.test_data or self.data
        if self.manifest.data is None and part == "test" and given:
            return load_images(given, self.manifest.config)
        source, sha256 = self._source(part)
        images = load_images(source, self.manifest.config)
        if digest(images) != sha256:
            raise DataError(f"{source} is not the data that the checkpoint records")
        chosen: Tokens = images[self._indices(part, len(images))]
        return chosen

    def _tiles(self, part: DataPart) -> Tokens:
        """Return the tiles of one part's photographs, or of a folder of test photographs."""
        rule = self.manifest.preprocessing
        assert rule is not None
        if self.test_data is not None and part == "test":
            folder = scan(Path(self.test_data))
            pictures = load_pictures(folder.photographs, rule, folder)
        elif self.data is None:
            raise DataError(f"{self.manifest.name} was made of photographs: give --data")
        else:
            parts = recorded_pictures(self.manifest, self.data)
            if part not in parts:
                raise DataError(f"{self.manifest.name} records no {part} images")
            pictures = parts[part]
        tiles, _ = cut_all([one.picture for one in pictures], rule)
        return tiles

    def labels(self, part: DataPart) -> Labels | None:
        """Return the classes `[N]` of one part, None where the images have none. Raises
        DataError."""
        if self.manifest.preprocessing is not None:
            return None
        source, _ = self._source(part)
        labels = load_labels(source)
        if labels is None:
            return None
        chosen: Labels = labels[self._indices(part, len(labels))]
        return chosen

    def _source(self, part: DataPart) -> tuple[str, str | None]:
        record = self.manifest.data
        if record is None or part not in record.split:
            raise DataError(f"{self.manifest.name} records no {part} images")
        if part == "test" and record.test_source is not None:
            place = self._place(self.test_data, record.test_source, "--test-data")
            return place, record.test_sha256
        return self._place(self.data, record.source, "--data"), record.sha256

    def _place(self, given: str | None, name: str, option: str) -> str:
        """Return the given place, or the recorded file in it where the given place is a folder."""
        folder = self.data if given is None else given
        if folder is not None and (inside := Path(folder) / name).exists():
            return str(inside)
        if given is None and name not in NAMED and not Path(name).exists():
            raise DataError(f"{name} not found: give its path by {option} or its folder by --data")
        return name if given is None else given

    def _indices(self, part: DataPart, count: int) -> NDArray[np.int64]:
        record = self.manifest.data
        assert record is not None
        if part == "test" and record.test_source is not None:
            indices = np.arange(count)
        else:
            sizes = {
                name: entry.count
                for name, entry in record.split.items()
                if name != "test" or record.test_source is None
            }
            indices = divide(count, sizes, record.split_seed)[part]
        if fingerprint(indices) != record.split[part]:
            raise DataError(
                f"{self.manifest.name}: the {part} indices differ from the recorded ones"
            )
        return indices


def subset(images: Tokens, count: int | None, seed: int = 0) -> Tokens:
    """Return `count` of the images, the same ones for the same seed, or all where `count` is
    None."""
    if count is None or count >= len(images):
        return images
    chosen = np.random.Generator(np.random.PCG64(seed)).permutation(len(images))[:count]
    return images[np.sort(chosen)]
