"""The images of a training run, as its recipe names them, and their record for the manifest."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from models.files.images import Tokens, digest, divide, fingerprint, load_images
from models.preprocessing.folder import Folder, scan
from models.preprocessing.loading import LoadedPicture, joint_digest, load_pictures
from models.preprocessing.record import PictureRecord
from models.preprocessing.splitting import split_pictures
from models.preprocessing.tiles import cut_all
from models.schema.manifest import DataPart, DataRecord, Indices
from models.schema.preprocessing import PictureRule
from models.training.batches import Batches, CropBatches, ImageBatches
from models.training.recipe import DataSettings, Recipe


class Material(NamedTuple):
    """Batches to train on, held-out images `[N, H, W, C]`, and what is recorded of both."""

    batches: Batches
    held_out: Tokens
    record: DataRecord
    pictures: PictureRecord | None = None


def gather(recipe: Recipe, device: torch.device) -> Material:
    """Load and divide the images of a recipe. Raises DataError."""
    return _arrays(recipe, device) if recipe.preprocessing is None else _pictures(recipe, device)


def load_parts(
    data: DataSettings, rule: PictureRule
) -> tuple[Folder, dict[DataPart, list[LoadedPicture]]]:
    """Find, divide and decode the photographs of a recipe's section `data`.

    One with the pixels of another is in one part only. Raises DataError.
    """
    folder = scan(Path(data.source))
    parts = split_pictures(folder.photographs, data.split, data.split_seed, data.group)
    total = sum(map(len, parts.values()))
    loaded: dict[DataPart, list[LoadedPicture]] = {}
    known: set[str] = set()
    with tqdm(total=total, desc="pictures", file=sys.stderr) as bar:
        for part, photographs in parts.items():
            loaded[part] = load_pictures(photographs, rule, folder, bar.update, known)
            known |= {one.digest for one in loaded[part]}
    return folder, loaded


def _pictures(recipe: Recipe, device: torch.device) -> Material:
    rule = recipe.preprocessing
    assert rule is not None
    folder, parts = load_parts(recipe.data, rule)
    for line in folder.omissions():
        print(line, file=sys.stderr)
    digests = {part: sorted(one.digest for one in some) for part, some in parts.items()}
    watched = parts.get("density", parts["train"])
    held_out, _ = cut_all([one.picture for one in watched], rule)
    tokens = [one.picture.tokens for one in parts["train"]]
    return Material(
        CropBatches(tokens, rule, recipe.data.shift, device),
        held_out,
        DataRecord(
            source=_public_name(recipe.data.source),
            sha256=joint_digest(one for some in digests.values() for one in some),
            licence=recipe.data.licence,
            split_seed=recipe.data.split_seed,
            split={
                part: Indices(count=len(some), sha256=joint_digest(some))
                for part, some in digests.items()
            },
        ),
        PictureRecord(
            rule=rule.digest, parts={part: tuple(some) for part, some in digests.items()}
        ),
    )


def _arrays(recipe: Recipe, device: torch.device) -> Material:
    images = load_images(recipe.data.source, recipe.model)
    test_source = recipe.data.test_source
    test = None if test_source is None else load_images(test_source, recipe.model)
    parts = divide(len(images), recipe.data.split, recipe.data.split_seed)
    split = {part: fingerprint(indices) for part, indices in parts.items()}
    if test is not None:
        split["test"] = fingerprint(np.arange(len(test)))
    return Material(
        ImageBatches(images[parts["train"]], device),
        images[parts.get("density", parts["train"])],
        DataRecord(
            source=_public_name(recipe.data.source),
            sha256=digest(images),
            test_source=test_source and _public_name(test_source),
            test_sha256=None if test is None else digest(test),
            licence=recipe.data.licence,
            split_seed=recipe.data.split_seed,
            split=split,
        ),
    )


def _public_name(source: str) -> str:
    """Return a data set's name or the name of its file, without the folders of this machine."""
    return Path(source).name
