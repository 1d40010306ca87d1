"""Shards: the parts of a store in several Redis. Each holds whole jobs, with all that belongs to
them, and the same scripts work on it as on a Redis that is alone.

In a Redis Cluster all names of a shard have one hash tag, as in `mulan:{0}:job:…`, so that they are
in one slot. A job's shard follows from its id, and a request's from its idempotency key.
"""

import itertools
import zlib
from typing import NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from service.store import ids, keys

# The tag of the first shard, whatever their number.
_FIRST_TAG = "0"
# The part of the distance of two shards by which a slot may be off its place.
_SLACK = 1 / 32


class Shard(NamedTuple):
    """A shard: its number, from 0, how many there are, and the hash tag in its names, or none."""

    number: int = 0
    of: int = 1
    tag: str = ""

    def name(self, name: str) -> str:
        """Return a name of `keys`, or one that begins with it, as it is called in this shard."""
        return name.replace(keys.PREFIX, f"{keys.PREFIX}{{{self.tag}}}:", 1) if self.tag else name


ALONE = Shard()


def in_cluster(count: int) -> list[Shard]:
    """Return so many shards of a Redis Cluster, whose slots are evenly spaced.

    Where each primary has an equal, unbroken range of slots, as tools make them, it has equally
    many shards if their number is a multiple of that of primaries.
    """
    return [Shard(number, count, _tag(number, count)) for number in range(count)]


def shard_of(name: str, count: int) -> int:
    """Return the number of the shard that the job of an id, or the scope of a key, belongs to."""
    return zlib.crc32(name.encode()) % count


def new_id(now: float, shard: int, count: int) -> str:
    """Make an id, at a time in seconds since the epoch, of a job that belongs to this shard."""
    made = (ids.new_id(now) for _ in itertools.count())
    return next(job_id for job_id in made if shard_of(job_id, count) == shard)


def _tag(number: int, count: int) -> str:
    """Return the least whole number whose slot is where this shard should be."""
    distance = REDIS_CLUSTER_HASH_SLOTS / count
    place = key_slot(_FIRST_TAG.encode()) + number * distance
    for tag in map(str, itertools.count()):
        off = (key_slot(tag.encode()) - place) % REDIS_CLUSTER_HASH_SLOTS
        if min(off, REDIS_CLUSTER_HASH_SLOTS - off) <= distance * _SLACK:
            return tag
    raise AssertionError("unreachable")
