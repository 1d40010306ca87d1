"""The images a checkpoint was never trained on, found again and verified."""

import numpy as np

from models.data import Tokens, digest, divide, fingerprint, load_tokens
from models.errors import DataError
from models.manifest import Manifest, Part


def part_of(
    manifest: Manifest, part: Part, data: str | None = None, test_data: str | None = None
) -> Tokens:
    """One part of the checkpoint's own split, `[N, H, W, C]`.

    `data` and `test_data` are where the images lie, if not under the names that the manifest has.
    Raises DataError when the images or the division are not the recorded ones.
    """
    record = manifest.data
    if record is None or part not in record.split:
        raise DataError(f"{manifest.name} records no {part} images")
    vocabulary = manifest.config.vocabulary
    if part == "test" and record.test_source is not None:
        images = _verified(test_data or record.test_source, vocabulary, record.test_sha256)
        indices = np.arange(len(images))
    else:
        images = _verified(data or record.source, vocabulary, record.sha256)
        sizes = {
            name: entry.count
            for name, entry in record.split.items()
            if name != "test" or record.test_source is None
        }
        indices = divide(len(images), sizes, record.split_seed)[part]
    if fingerprint(indices) != record.split[part]:
        raise DataError(f"{manifest.name}: the {part} indices differ from the recorded ones")
    return images[indices]


def subset(images: Tokens, count: int | None, seed: int = 0) -> Tokens:
    """`count` of the images, the same ones every time; all of them where count is None."""
    if count is None or count >= len(images):
        return images
    chosen = np.random.Generator(np.random.PCG64(seed)).permutation(len(images))[:count]
    return images[np.sort(chosen)]


def _verified(source: str, vocabulary: int, sha256: str | None) -> Tokens:
    images = load_tokens(source, vocabulary)
    if digest(images) != sha256:
        raise DataError(f"{source} is not the data that the checkpoint records")
    return images
