"""The signals of how checks stand, over a real broker."""

from nats.aio.client import Client

from libs.common.bus.checks import CheckSignal, CheckSignals, DeploymentSignal, ReplicaSignal
from libs.common.clock import utc_now
from tests.support.polling import eventually


def signal(standing: str) -> DeploymentSignal:
    check = CheckSignal(check="readiness", standing=standing, outcome="success", at=utc_now(), latency_s=0.25)
    replica = ReplicaSignal(replica_id="r", attempt=2, checks=(check,))
    return DeploymentSignal(sent_at=utc_now(), replicas=(replica,))


async def test_the_newest_of_each_deployment_is_found_and_no_other_is_kept(log_client: Client) -> None:
    signals = CheckSignals(log_client)
    newest, other = signal("passing"), signal("unknown")
    for each in (signal("failing"), newest):
        await signals.publish("a", each)
    await signals.publish("b", other)

    async def is_there() -> bool:
        return (await signals.get("a"), await signals.get("b")) == (newest, other)

    await eventually(is_there)
    assert (await log_client.jetstream().stream_info("CHECKS")).state.messages == 2


async def test_a_time_that_utc_cannot_tell_is_not_shown(log_client: Client) -> None:
    signals, mad = CheckSignals(log_client), "9999-12-31T23:59:59-10:00"
    told = DeploymentSignal(sent_at=utc_now(), replicas=(ReplicaSignal(replica_id="r", attempt=2),))
    exits = told.model_dump_json(exclude_none=True).replace(
        '"attempt":2', f'"attempt":2,"last_exit":{{"status":1,"at":"{mad}"}}'
    )
    await log_client.publish("checks.a", exits.encode())
    await signals.publish("b", told)

    async def is_there() -> bool:
        return await signals.get("b") == told

    await eventually(is_there)
    assert (await log_client.jetstream().stream_info("CHECKS")).state.messages == 2
    assert await signals.get("a") is None


async def test_what_nobody_told_is_unknown(log_client: Client) -> None:
    assert await CheckSignals(log_client).get("a") is None


async def test_without_the_stream_everything_is_unknown(log_client: Client) -> None:
    signals = CheckSignals(log_client)
    await log_client.jetstream().delete_stream("CHECKS")
    await signals.publish("a", signal("passing"))
    assert await signals.get("a") is None


async def test_what_another_version_tells_is_read_as_far_as_it_is_understood(log_client: Client) -> None:
    signals = CheckSignals(log_client)
    later = signal("passing").model_dump_json().replace('"attempt"', '"later":1,"attempt"')
    await log_client.publish("checks.a", later.encode())
    await log_client.publish("checks.b", b'{"replicas":7}')

    async def is_there() -> bool:
        return await signals.get("a") is not None

    await eventually(is_there)
    assert await signals.get("b") is None
