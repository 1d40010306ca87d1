"""The fleet: workers announce the checkpoints that they serve, and APIs read the announcements.

An announcement lives for `ALIVE_S` and is repeated before that. A checkpoint's descriptor (manifest
and calibration) has a key of its own, named by the SHA-256 of its text, so that an API reads it
once, and not with every announcement.
"""

import asyncio
import hashlib
import logging
import math
import time
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis

from models.anomaly.kept import AnyCalibration
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.presets import presets
from service.errors import StoreUnavailable
from service.store import keys
from service.store.connection import NULL_OBSERVER, Connected
from service.store.scripts import Scripts
from service.store.shards import ALONE, Shard, shard_of
from service.telemetry.observers import StoreObserver

logger = logging.getLogger(__name__)

# Seconds that an announcement lives, and between two announcements.
ALIVE_S = 10.0
ANNOUNCE_EVERY_S = 2.0
# Seconds between two announcements with all descriptors.
ALL_EVERY_S = 60.0


class AnnouncedModel(NamedTuple):
    """A checkpoint's descriptor, and the `execution` (device type, runtime, dtype, build) that runs
    it."""

    manifest: Manifest
    execution: str
    calibration: AnyCalibration | None = None


class _Descriptor(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: Manifest
    calibration: AnyCalibration | None


class _Announcement(BaseModel):
    """The announcement of one worker: the digest of the descriptor and the execution of each
    checkpoint. `loaded` has the times of those that were loaded later than `since`, by digest; APIs
    of the release before cannot read it, and it is left out while it is empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    since: float
    serves: tuple[tuple[str, str], ...]
    loaded: dict[str, float] = Field({}, exclude_if=lambda loaded: not loaded)


class Fleet:
    """The workers of one store. Each announces itself in one of its shards: that of the client, or
    one of the `others`. Every method may raise StoreUnavailable.

    `workers` counts those that served each model, by its name, when `models` was last called.
    """

    def __init__(
        self,
        client: Redis,
        observer: StoreObserver = NULL_OBSERVER,
        shard: Shard = ALONE,
        others: Sequence[Connected] = (),
    ) -> None:
        shards = (Connected(client, shard), *others)
        self._shards = [Scripts(each, observer, shard=one) for each, one in shards]
        self._damage = self._shards[0].damage
        self._all_at = -math.inf
        # What each shard said last of the workers that are announced there.
        self._seen = [list[tuple[bytes, bytes]]() for _ in self._shards]
        self.workers: Counter[str] = Counter()
        self._descriptors: dict[str, _Descriptor] = {}

    async def announce(
        self,
        name: str,
        since: float,
        models: Iterable[AnnouncedModel],
        loaded_at: Mapping[str, float] | None = None,
    ) -> None:
        """Announce that the worker `name` has served these models `since` a time, in seconds since
        the epoch, but for those that `loaded_at` has a later time of, by SHA-256."""
        descriptors: dict[str, str] = {}
        serves: list[tuple[str, str]] = []
        loaded: dict[str, float] = {}
        for manifest, execution, calibration in models:
            text = _Descriptor(manifest=manifest, calibration=calibration).model_dump_json()
            descriptors[_digest(text)] = text
            serves.append((_digest(text), execution))
            if loaded_at and manifest.sha256 in loaded_at:
                loaded[_digest(text)] = loaded_at[manifest.sha256]
        entry = _Announcement(since=since, serves=tuple(serves), loaded=loaded).model_dump_json()
        scripts, head = self._of(name), (name, since, entry, int(1000 * ALIVE_S))
        # Other workers, or the last announcement, have told of most of them. All are told now and
        # then, in case that what is there is something else.
        now = time.monotonic()
        told = descriptors if now >= self._all_at else {}
        if missing := await scripts.run("announce", *head, *_parts(descriptors, told)):
            told = {one.decode(): descriptors[one.decode()] for one in missing}
            await scripts.run("announce", *head, *_parts(descriptors, told))
        if told is descriptors:
            self._all_at = now + ALL_EVERY_S

    async def retire(self, name: str) -> None:
        """Withdraw the announcement of a worker, which takes no more jobs."""
        await self._of(name).run("retire", name)

    async def models(self) -> list[AnnouncedModel]:
        """Return the checkpoints that are served now, by name, each as the worker that loaded it
        last announced it; of several with one name, the one that was loaded last is the last.

        Where a shard is away, the workers that it had last count as alive: jobs of other shards
        still reach them. Raises StoreUnavailable where all are away.
        """
        away = await self._look()
        if len(away) == len(self._shards):
            raise next(iter(away.values()))
        entries = self._entries()
        digests = {digest for entry in entries for digest, _ in entry.serves}
        await self._read_descriptors(digests, away)
        served = [
            (entry.loaded.get(digest, entry.since), descriptor, execution)
            for entry in entries
            for digest, execution in entry.serves
            if (descriptor := self._descriptors.get(digest))
        ]
        found: dict[str, AnnouncedModel] = {}
        for _, descriptor, execution in sorted(served, key=lambda one: one[0]):
            manifest, calibration = descriptor.manifest, descriptor.calibration
            found.pop(manifest.sha256, None)
            found[manifest.sha256] = AnnouncedModel(manifest, execution, calibration)
        self.workers = Counter(descriptor.manifest.name for _, descriptor, _ in served)
        return sorted(found.values(), key=lambda model: model.manifest.name)

    async def names(self) -> set[str]:
        """Return the names of the workers that are announced now. All shards have to answer."""
        for error in (await self._look()).values():
            raise error
        return set(self._texts())

    async def _look(self) -> dict[int, StoreUnavailable]:
        """Ask all shards at once which workers are announced, and return the errors of those that
        are away, by their numbers."""
        answers = await asyncio.gather(
            *(each.run("workers") for each in self._shards), return_exceptions=True
        )
        away = dict[int, StoreUnavailable]()
        for number, answer in enumerate(answers):
            if isinstance(answer, StoreUnavailable):
                away[number] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._seen[number] = answer
        return away

    def _entries(self) -> list[_Announcement]:
        found = []
        for name, text in self._texts().items():
            try:
                found.append(_Announcement.model_validate_json(text))
            except ValueError as error:
                self._damage.tell("worker", name, str(error).splitlines()[0])
        return found

    def _texts(self) -> dict[str, bytes]:
        """Return the announcements that were seen last, by the workers' names."""
        found = {}
        for name, text in [one for seen in self._seen for one in seen]:
            try:
                found[name.decode()] = text
            except UnicodeDecodeError as error:
                self._damage.tell("worker", name.decode(errors="replace"), str(error))
        return found

    async def _read_descriptors(self, digests: set[str], away: Container[int]) -> None:
        """Read the descriptors that are not known, of those shards that are not away."""
        kept = digests & self._descriptors.keys()
        self._descriptors = {name: self._descriptors[name] for name in kept}
        for number, scripts in enumerate(self._shards):
            unread = sorted(digests - self._descriptors.keys())
            if unread and number not in away:
                names = [scripts.name(keys.DESCRIPTORS + digest) for digest in unread]
                texts = await scripts.command("descriptors", "MGET", *names)
                for digest, text in zip(unread, texts, strict=True):
                    if text is not None and (descriptor := self._descriptor(digest, text)):
                        self._descriptors[digest] = descriptor

    def _descriptor(self, digest: str, text: bytes) -> _Descriptor | None:
        """Read a descriptor; None for one that this build cannot read or serve.

        A calibration that does not hold in this process is left out: this process would judge by
        it, and its image coder may be another than the worker's.
        """
        tell = self._damage.tell
        try:
            if hashlib.sha256(text).hexdigest() != digest:
                raise ValueError("its text is not that of its digest")
            descriptor = _Descriptor.model_validate_json(text)
            presets(descriptor.manifest)
        except (ValueError, CheckpointError) as error:
            tell("model", digest, str(error).splitlines()[0])
            return None
        try:
            if descriptor.calibration is not None:
                descriptor.calibration.check(descriptor.manifest)
        except CheckpointError as error:
            logger.error("%s gives no verdicts: %s", descriptor.manifest.name, error)
            return descriptor.model_copy(update={"calibration": None})
        return descriptor

    def _of(self, name: str) -> Scripts:
        return self._shards[shard_of(name, len(self._shards))]


def _parts(descriptors: Mapping[str, str], told: Container[str]) -> list[str | int]:
    """Return digest, number of bytes, and text of each descriptor; no text of those not `told`."""
    return [
        part
        for digest, text in descriptors.items()
        for part in (digest, len(text.encode()), text if digest in told else "")
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
