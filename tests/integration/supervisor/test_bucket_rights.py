"""The buckets through the broker of a platform, by the adapters of the services, as each user."""

import pytest
from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.bus.checks import CheckSignal, CheckSignals, DeploymentSignal, ReplicaSignal
from libs.common.bus.entries import Entry
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.clock import utc_now
from libs.common.errors import LogUnavailable
from libs.common.ids import new_id
from libs.common.log.jetstream.entries import JetStreamManyEntries
from libs.common.services import SERVICES
from tests.support.nats_users import connected_as
from tests.support.platform_process import PlatformProcess
from tests.support.polling import PATIENCE_S, eventually

USERS = (*SERVICES, "commands")
OWNERS = {
    (subjects.SCALING_STREAM, subjects.SCALING_ROOT): ({"autoscaler"}, {"autoscaler", "api"}),
    (subjects.OUTCOMES_STREAM, subjects.OUTCOMES_ROOT): ({"api"}, {"api"}),
}
"""Of each bucket with entries of any key: who writes, and who reads."""


def bucket(client: Client, name: tuple[str, str], *, is_allowed: bool) -> JetStreamEntries:
    """A refusal shows as an answer that never comes, so only one that must come is waited for long."""
    stream, root = name
    attempt_s = PATIENCE_S if is_allowed else 0.25
    return JetStreamEntries(client, stream=stream, root=root, deadline_s=attempt_s, attempt_s=attempt_s)


async def written(platform: PlatformProcess, name: tuple[str, str], key: str) -> Entry:
    (writer,) = OWNERS[name][0]
    async with connected_as(platform, writer) as client:
        entries = bucket(client, name, is_allowed=True)
        sequence = await entries.put(key, b"of its writer", after=0)
        return Entry(sequence, b"of its writer")


@pytest.mark.parametrize("name", OWNERS, ids=lambda name: name[0])
@pytest.mark.parametrize("user", USERS)
async def test_a_bucket_is_read_and_written_by_whose_it_is_alone(
    lasting_platform: PlatformProcess, user: str, name: tuple[str, str]
):
    writers, readers = OWNERS[name]
    key = new_id()
    before = await written(lasting_platform, name, key)
    async with connected_as(lasting_platform, user) as client:
        if user in readers:
            assert await bucket(client, name, is_allowed=True).get(key) == before
        else:
            with pytest.raises(LogUnavailable):
                await bucket(client, name, is_allowed=False).get(key)
        if user in writers:
            await bucket(client, name, is_allowed=True).put(key, b"new", after=before.sequence)
        else:
            with pytest.raises(LogUnavailable):
                await bucket(client, name, is_allowed=False).put(key, b"forged", after=before.sequence)
    async with connected_as(lasting_platform, *readers & {"api"}) as client:
        found = await bucket(client, name, is_allowed=True).get(key)
        assert found is not None
        assert found.data == (b"new" if user in writers else b"of its writer")


@pytest.mark.parametrize("user", USERS)
async def test_memories_of_scaling_are_read_at_once_by_whose_they_are_alone(
    lasting_platform: PlatformProcess, user: str
):
    name = stream, root = subjects.SCALING_STREAM, subjects.SCALING_ROOT
    keys = [new_id(), new_id()]
    before = [await written(lasting_platform, name, key) for key in keys]
    is_allowed = user == "autoscaler"
    attempt_s = PATIENCE_S if is_allowed else 0.25
    async with connected_as(lasting_platform, user) as client:
        entries = JetStreamManyEntries(
            client, stream=stream, root=root, deadline_s=attempt_s, attempt_s=attempt_s
        )
        if is_allowed:
            assert await entries.get_many(keys) == dict(zip(keys, before, strict=True))
        else:
            with pytest.raises(LogUnavailable):
                await entries.get_many(keys)


@pytest.mark.parametrize("user", ["api", "router", "commands"])
async def test_who_has_no_lease_neither_sees_nor_takes_one(lasting_platform: PlatformProcess, user: str):
    leases = subjects.LEASES_STREAM, subjects.LEASES_ROOT
    async with connected_as(lasting_platform, user) as client:
        with pytest.raises(LogUnavailable):
            await bucket(client, leases, is_allowed=False).get("autoscaler")
        with pytest.raises(LogUnavailable):
            await bucket(client, leases, is_allowed=False).put("autoscaler", b'{"holder": "me"}', after=0)
    async with connected_as(lasting_platform, "autoscaler") as client:
        found = await bucket(client, leases, is_allowed=True).get("autoscaler")
        assert found is None or b"me" not in found.data


async def test_the_api_reads_how_checks_stand_and_says_nothing_of_it(lasting_platform: PlatformProcess):
    def signal(standing: str) -> DeploymentSignal:
        check = CheckSignal(
            check="readiness", standing=standing, outcome="success", at=utc_now(), latency_s=1
        )
        return DeploymentSignal(
            sent_at=utc_now(), replicas=(ReplicaSignal(replica_id="r", attempt=1, checks=(check,)),)
        )

    name, told = new_id(), signal("passing")
    async with (
        connected_as(lasting_platform, "health") as health,
        connected_as(lasting_platform, "api") as api,
    ):
        await CheckSignals(health).publish(name, told)

        async def is_heard() -> bool:
            return await CheckSignals(api).get(name) == told

        await eventually(is_heard)
        await CheckSignals(api).publish(name, signal("failing"))
        await api.flush()
        # Of who is not answered in a second nothing is known, which is no answer.
        assert await eventually(lambda: CheckSignals(api).get(name)) == told
