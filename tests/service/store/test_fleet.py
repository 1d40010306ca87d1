"""What workers announce and APIs read."""

import json
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer
from small_calibration import small_calibration
from tiny_zoo import CONFIG

from models.schema.manifest import Manifest
from service.catalogue import Catalogue
from service.errors import NotReady, UnknownModel
from service.store import keys
from service.store.connection import connect
from service.store.fleet import AnnouncedModel, Fleet

pytestmark = pytest.mark.anyio


def announced(
    name: str, digit: str = "a", execution: str = "cpu/test", **more: object
) -> AnnouncedModel:
    fields = {"name": name, "config": CONFIG, "sha256": digit * 64, "parameters": 3}
    return AnnouncedModel(Manifest.model_validate(fields | more), execution)


def calibrated(name: str, digit: str = "a", mean_nll: float = 10.0) -> AnnouncedModel:
    calibration = small_calibration(digit * 64, CONFIG, mean_nll=mean_nll)
    return announced(name, digit)._replace(calibration=calibration)


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client


@pytest.fixture
def fleet(client: Redis) -> Fleet:
    return Fleet(client)


async def test_what_is_announced_is_present_until_it_is_retired(
    fleet: Fleet, client: Redis
) -> None:
    assert await fleet.models() == []
    presets = {"fast": {"name": "ddpm", "steps": 7}}
    small = announced("small", presets=presets, evaluation={"bits": 2.5})
    large = announced("large", "b", "cuda/test")
    await fleet.announce("w1", 1.0, [small])
    await fleet.announce("w2", 2.0, [large, small])
    assert await Fleet(client).models() == [large, small]
    await fleet.retire("w2")
    assert await fleet.models() == [small]
    await fleet.retire("w1")
    assert await fleet.models() == []


async def test_a_worker_that_falls_silent_is_forgotten(fleet: Fleet, client: Redis) -> None:
    await fleet.announce("w", 1.0, [announced("small")])
    for name in (
        keys.WORKER + "w",
        *[key async for key in client.scan_iter(keys.DESCRIPTORS + "*")],
    ):
        assert 0 < await client.pttl(name) <= 10_000
    await client.delete(keys.WORKER + "w")
    assert await fleet.models() == []
    assert await client.zcard(keys.WORKERS) == 0


async def test_the_latest_workers_descriptor_of_a_checkpoint_hold(fleet: Fleet) -> None:
    retuned = announced("small", presets={"fast": {"name": "ddpm", "steps": 9}})
    await fleet.announce("new", 2.0, [retuned])
    await fleet.announce("old", 1.0, [announced("small")])
    assert await fleet.models() == [retuned]


async def test_a_name_goes_to_what_was_loaded_last_whichever_worker_is_older(
    fleet: Fleet, client: Redis
) -> None:
    old, new = announced("small"), announced("small", "b")
    catalogue = Catalogue()

    async def served() -> str:
        catalogue.replace(await fleet.models())
        return catalogue.get("small").checkpoint[0]

    await fleet.announce("first", 1.0, [old])
    await fleet.announce("second", 2.0, [old])
    # The older worker is the first to load the new checkpoint.
    await fleet.announce("first", 1.0, [new], {"b" * 64: 3.0})
    assert await served() == "b"
    assert fleet.workers == {"small": 2}
    await fleet.announce("second", 2.0, [new], {"b" * 64: 4.0})
    # And the first to be told to go back.
    await fleet.announce("first", 1.0, [old], {"a" * 64: 5.0})
    assert await served() == "a"
    assert await fleet.names() == {"first", "second"}


async def test_what_loaded_nothing_later_is_announced_as_by_the_release_before(
    fleet: Fleet, client: Redis
) -> None:
    await fleet.announce("w", 1.0, [announced("small")], {"b" * 64: 3.0})
    assert json.loads(await client.get(keys.WORKER + "w")).keys() == {"version", "since", "serves"}


async def test_a_calibration_is_announced_with_its_checkpoint(fleet: Fleet, client: Redis) -> None:
    small, large = calibrated("small"), announced("large", "b")
    await fleet.announce("old", 1.0, [small, large])
    catalogue = Catalogue()
    catalogue.replace(await Fleet(client).models())
    assert catalogue.get("small").calibration == small.calibration
    assert catalogue.get("large").calibration is None
    again = calibrated("small", mean_nll=11.0)
    await fleet.announce("new", 2.0, [again])
    assert await fleet.models() == [large, again]


async def test_a_calibration_that_does_not_hold_here_gives_no_verdicts(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    small = calibrated("small")
    assert small.calibration is not None
    coder = small.calibration.preprocessing.model_copy(update={"codec_bits": (1, 2, 3)})
    elsewhere = small.calibration.model_copy(update={"preprocessing": coder})
    await fleet.announce("w", 1.0, [small._replace(calibration=elsewhere)])
    assert await fleet.models() == [announced("small")]
    assert "small gives no verdicts: calibration.json is for codec_bits" in caplog.text


async def test_what_cannot_be_read_hides_nobody_else(fleet: Fleet, client: Redis) -> None:
    sound = announced("small")
    await fleet.announce("sound", 1.0, [sound])
    await fleet.announce("damaged", 2.0, [announced("large", "b")])
    await client.set(keys.WORKER + "damaged", b'{"version": 2}')
    assert await fleet.models() == [sound]


def test_a_model_whose_workers_are_gone_is_missed_and_not_unknown() -> None:
    catalogue = Catalogue()
    catalogue.replace([announced("small"), announced("large", "b")])
    assert [model.name for model in catalogue] == ["small", "large"]
    catalogue.replace([announced("small")])
    assert catalogue.get("small").checkpoint == "a" * 64
    with pytest.raises(NotReady, match="no worker serves 'large'"):
        catalogue.get("large")
    with pytest.raises(UnknownModel):
        catalogue.get("tiny")
    catalogue.replace([announced("large", "b")])
    assert catalogue.get("large").execution == "cpu/test"


async def received(client: Redis) -> int:
    """Bytes that Redis was sent so far."""
    return int((await client.info("stats"))["total_net_input_bytes"])


async def test_a_descriptor_is_told_once_and_again_where_it_is_missing(
    server: RedisServer, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = announced("small", evaluation={"remark": "x" * 20_000})

    async def told(fleet: Fleet) -> bool:
        """Whether an announcement brought the descriptor."""
        before = await received(client)
        await fleet.announce("w", 1.0, [model])
        assert await Fleet(client).models() == [model]
        return await received(client) - before > 20_000

    fleet = Fleet(client)
    assert await told(fleet)
    assert not await told(fleet)
    (key,) = [key async for key in client.scan_iter(keys.DESCRIPTORS + "*")]
    life_ms = await client.pttl(key)
    await client.pexpire(key, 500)
    assert not await told(fleet)
    assert await client.pttl(key) > life_ms - 1000
    await client.delete(key)
    assert await told(fleet)
    await client.set(key, "something else")
    assert await told(fleet)
    # What is of another type is put aside.
    await client.delete(key)
    await client.sadd(key, "something else")
    assert await told(fleet)
    # All are told now and then: what is there may have the right length alone.
    monkeypatch.setattr(fleet, "_all_at", 0.0)
    assert await told(fleet)
    assert not await told(fleet)
