"""Photographs of a folder as scaled pictures, known by the digest of their pixels."""

import hashlib
from collections.abc import Callable, Iterable, Sequence, Set
from typing import NamedTuple

from models.preprocessing.folder import Folder, Photograph, content
from models.preprocessing.tiles import Picture, read_picture
from models.schema.errors import DataError, PictureError
from models.schema.preprocessing import PictureRule

# Scaled pictures are kept in memory; a split may name fewer of them.
MOST_BYTES = 8 << 30


class LoadedPicture(NamedTuple):
    """A photograph by its name below the folder, with the SHA-256 of its pixels as prepared."""

    name: str
    digest: str
    picture: Picture


def load_pictures(
    photographs: Sequence[Photograph],
    rule: PictureRule,
    folder: Folder,
    on_picture: Callable[[], object] = lambda: None,
    known: Set[str] = frozenset(),
) -> list[LoadedPicture]:
    """Decode photographs by a rule.

    One that cannot be decoded, is too small, or has the pixels of an earlier one, or digests that
    are `known`, is left out, which `folder` notes. Raises DataError where none is left, or where
    they do not fit into memory.
    """
    loaded: dict[str, LoadedPicture] = {}
    held = 0
    for one in photographs:
        try:
            picture = read_picture(content(one.path), rule)
        except PictureError as error:
            folder.leave_out(f"cannot be used: {error}", one.name)
        except DataError as error:
            folder.leave_out(f"cannot be read: {error}", one.name)
        else:
            digest = picture_digest(picture)
            if digest in loaded or digest in known:
                folder.leave_out("same pixels as another picture", one.name)
            else:
                loaded[digest] = LoadedPicture(one.name, digest, picture)
                held += picture.tokens.nbytes
        if held > MOST_BYTES:
            raise DataError(
                f"{folder.path}: the scaled pictures have more than {MOST_BYTES >> 30} GiB; lower "
                "the scale, or name fewer pictures in the recipe's split"
            )
        on_picture()
    if not loaded:
        raise DataError(f"{folder.path}: no picture can be used; {_reasons(folder)}")
    return list(loaded.values())


def picture_digest(picture: Picture) -> str:
    """Return the SHA-256 of a picture's tokens and their shape."""
    shape = f"{picture.tokens.shape} ".encode()
    return hashlib.sha256(shape + picture.tokens.tobytes()).hexdigest()


def joint_digest(digests: Iterable[str]) -> str:
    """Return the SHA-256 of sorted digests."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _reasons(folder: Folder) -> str:
    return "; ".join(f"{len(names)} {reason}" for reason, names in folder.left_out.items())
