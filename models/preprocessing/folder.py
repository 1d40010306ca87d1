"""The photographs in a folder, and what else lies there, by name and header.

Folders are searched to any depth, each once, however symbolic links lead to it. Pixels are read
only where a file may be a mask.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from models.preprocessing.decode import MOST_PIXELS, Header, read_header
from models.preprocessing.masks import DEFECTS, MASKS, is_mask, plain_stem
from models.schema.errors import DataError, PictureError
from models.schema.regular import open_regular, read_regular

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".dib", ".tif", ".tiff", ".webp"))
MOST_BYTES = 256 << 20
_SHOWN = 5
_JUNK = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))


class Photograph(NamedTuple):
    """A file whose header is that of a picture. `name` is its path below the folder, printable."""

    path: Path
    name: str
    header: Header


@dataclass
class Folder:
    """The photographs of a folder by name, and the names of what is left out by reason."""

    path: Path
    photographs: list[Photograph] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, reason: str, name: str) -> None:
        """Note that a file or folder is left out."""
        self.left_out.setdefault(reason, []).append(name)

    def describe(self) -> list[str]:
        """Return lines on what the folder has, and on what of it is left out."""
        kinds = ", ".join(f"{number} {kind}" for kind, number in self.kinds.most_common(_SHOWN))
        sizes = self.sizes.most_common(_SHOWN)
        shown = ", ".join(f"{number} of {size}" for size, number in sizes)
        if len(self.sizes) > len(sizes):
            shown += f" and {len(self.sizes) - len(sizes)} other sizes"
        name, count = printable(str(self.path)), len(self.photographs)
        return [f"{name}: {count} photographs ({kinds}); {shown}", *self.omissions()]

    def omissions(self) -> list[str]:
        """Return a line for each reason for which something is left out."""
        lines = []
        for reason, names in self.left_out.items():
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"left out, {reason}: {', '.join(names[:_SHOWN])}{more}")
        return lines

    @property
    def sizes(self) -> Counter[str]:
        """Number of photographs by size, height x width, as stored."""
        return Counter(str(one.header.size) for one in self.photographs)

    @property
    def kinds(self) -> Counter[str]:
        """Number of photographs by format and mode."""
        return Counter(f"{one.header.form} {one.header.mode}" for one in self.photographs)


def scan(folder: Path, max_pixels: int = MOST_PIXELS, *, defects: bool = False) -> Folder:
    """Find the photographs in a folder.

    Left out, with the reason, are hidden files, files of other kinds, what cannot be read, copies
    of the same bytes, masks, and folders that are named like masks or, unless `defects`, like
    defects. Raises DataError where no photograph is left, and where `folder` is none.
    """
    if not folder.is_dir():
        raise DataError(f"{printable(str(folder))}: no such folder")
    found = Folder(folder)
    for path in _files(folder, found, defects):
        name = printable(os.path.relpath(path, folder))
        try:
            with open_regular(path) as file:
                header = read_header(file, max_pixels)
        except PictureError as error:
            found.leave_out(f"cannot be read: {error}", name)
        except OSError as error:
            found.leave_out(f"cannot be read: {error.strerror}", name)
        else:
            found.photographs.append(Photograph(path, name, header))
    _drop_masks(found)
    _drop_copies(found)
    if not found.photographs:
        raise DataError(f"{printable(str(folder))}: {_nothing(found)}")
    return found


def content(path: Path) -> bytes:
    """Return the bytes of a photograph. Raises DataError."""
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        raise DataError(f"{printable(str(path))}: {error.strerror}") from error


def printable(name: str) -> str:
    """Return a name in which bytes that are no UTF-8 and control characters are escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _files(folder: Path, found: Folder, defects: bool) -> Iterator[Path]:
    """Yield files with a picture's suffix in the order of their paths, and note the others."""
    seen, waiting = set(), [folder]
    while waiting:
        here = waiting.pop()
        try:
            status = here.stat()
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            found.leave_out(f"folder cannot be read: {error.strerror}", _below(here, found))
            continue
        if (status.st_dev, status.st_ino) in seen:
            found.leave_out("folder that was already read, by a symbolic link", _below(here, found))
            continue
        seen.add((status.st_dev, status.st_ino))
        below = []
        for entry in entries:
            path, name = here / entry.name, _below(here / entry.name, found)
            if entry.name.startswith(".") or entry.name in _JUNK:
                found.leave_out("hidden", name)
            elif _is_folder(entry):
                if MASKS.fullmatch(entry.name):
                    found.leave_out("folder named like masks", name)
                elif DEFECTS.fullmatch(entry.name) and not defects:
                    found.leave_out("folder named like defects", name)
                else:
                    below.append(path)
            elif path.suffix.lower() in SUFFIXES:
                yield path
            else:
                found.leave_out("no picture by its name", name)
        waiting += reversed(below)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or leads to one. A link to itself does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _drop_masks(found: Folder) -> None:
    """Leave out files that are named like another one and have two levels, as masks do."""
    stems = Counter(plain_stem(one.path) for one in found.photographs)
    kept = []
    for one in found.photographs:
        if stems[plain_stem(one.path)] > 1 and is_mask(one.path):
            found.leave_out("mask of another picture: same name, two levels", one.name)
        else:
            kept.append(one)
    found.photographs = kept


def _drop_copies(found: Folder) -> None:
    """Leave out files with the same bytes as an earlier one: a picture must not be on both sides
    of a split."""
    sizes = Counter(one.path.stat().st_size for one in found.photographs)
    first: dict[bytes, str] = {}
    kept = []
    for one in found.photographs:
        if sizes[one.path.stat().st_size] > 1:
            same = first.setdefault(_digest(one.path), one.name)
            if same != one.name:
                found.leave_out("copy of another picture", one.name)
                continue
        kept.append(one)
    found.photographs = kept


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _below(path: Path, found: Folder) -> str:
    return printable(os.path.relpath(path, found.path))


def _nothing(found: Folder) -> str:
    """Say why a folder has no photographs."""
    if not found.left_out:
        return "the folder is empty; PNG, JPEG, BMP, TIFF and WebP are read"
    reasons = (f"{len(names)} {reason}" for reason, names in found.left_out.items())
    return f"the folder has no photographs; left out: {'; '.join(reasons)}"
