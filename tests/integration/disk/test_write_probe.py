"""Whether the broker can write is found out by writing: true also where nobody can look at its disk."""

from collections.abc import AsyncIterator
from contextlib import suppress

import nats
import pytest
from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.errors import LogUnavailable
from libs.common.log.jetstream.write_probe import refused_write
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import patient, provisioned
from tests.support.polling import eventually
from tests.support.small_disk import SmallDisk


@pytest.fixture
def disk(tmp_path, make_disk) -> SmallDisk:
    return make_disk(tmp_path / "broker" / "store", mib=16)


@pytest.fixture
def broker(tmp_path, disk):  # noqa: ARG001 - mounted before, unmounted after it
    process = NatsProcess(tmp_path / "broker")
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def client(broker) -> AsyncIterator[Client]:
    async def on_error(_error: Exception) -> None: ...

    connected = await nats.connect(broker.url, error_cb=on_error)
    await provisioned(connected)
    yield patient(connected)
    await connected.close()


async def answer_of(client: Client) -> str:
    """Asked again where a broker that stands still has not answered in time."""
    told: list[str] = []

    async def is_told() -> bool:
        with suppress(LogUnavailable):
            told.append(await refused_write(client))
        return bool(told)

    await eventually(is_told)
    return told[0]


async def test_a_broker_with_room_writes_and_keeps_one_message(client, disk):
    before = disk.free
    for _ in range(50):
        assert await answer_of(client) == ""
    stream = await client.jetstream().stream_info(subjects.PROBES_STREAM)
    assert stream.state.messages == 1
    assert before - disk.free < 1024 * 1024
    assert (await client.jetstream().stream_info(subjects.EVENTS_STREAM)).state.last_seq == 0


async def test_a_full_disk_shows_at_the_first_look(client, disk):
    disk.fill()
    assert "as on a full disk" in await answer_of(client)
    disk.empty()
    assert await answer_of(client) == ""


async def test_a_missing_stream_shows(client):
    await client.jetstream().delete_stream(subjects.PROBES_STREAM)
    with pytest.raises(LogUnavailable, match="does not acknowledge"):
        await refused_write(client)


async def test_a_dead_broker_is_told_from_one_that_refuses(client, broker):
    broker.kill()
    with pytest.raises(LogUnavailable):
        await refused_write(client)
