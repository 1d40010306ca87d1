"""Photographs are divided by file or by group, never by tile."""

import hashlib
import re
from collections.abc import Mapping, Sequence

from models.preprocessing.folder import Photograph
from models.schema.errors import DataError
from models.schema.manifest import DataPart


def split_pictures(
    photographs: Sequence[Photograph], sizes: Mapping[DataPart, int], seed: int, pattern: str = ""
) -> dict[DataPart, list[Photograph]]:
    """Divide photographs into disjoint parts of at least the given sizes, in the order of names.

    Groups are shuffled by a hash of `seed` and their name, and fill one part after the other, so
    that a photograph which is added later moves few others. Photographs that no part needs are in
    none. Raises DataError where there are too few.
    """
    groups: dict[str, list[Photograph]] = {}
    for one in photographs:
        groups.setdefault(group_of(one.name, pattern), []).append(one)
    order = sorted(groups, key=lambda group: hashlib.sha256(f"{seed} {group}".encode()).digest())
    parts: dict[DataPart, list[Photograph]] = {}
    waiting = iter(order)
    for part, size in sizes.items():
        found: list[Photograph] = []
        while len(found) < size:
            if (group := next(waiting, None)) is None:
                raise DataError(
                    f"the split asks for {sum(sizes.values())} pictures; there are "
                    f"{len(photographs)} in {len(groups)} groups, and {len(found)} of {size} are "
                    f"left for {part}"
                )
            found += groups[group]
        parts[part] = sorted(found, key=lambda one: one.name)
    return parts


def group_of(name: str, pattern: str) -> str:
    """Return the group of a photograph: the match of `pattern` in its path, or of the pattern's
    first group; without a match, the path itself."""
    match = re.search(pattern, name) if pattern else None
    if match is None:
        return name
    return str(match[1] if match.re.groups and match[1] is not None else match[0])
