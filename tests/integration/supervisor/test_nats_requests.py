"""Every request that JetStream knows, made by every user: which are answered."""

import asyncio

import pytest

from tests.support.nats_users import SILENT_FOR_S, answer, connected_as
from tests.support.platform_process import PlatformProcess
from tests.support.polling import PATIENCE_S

STREAMS = (
    "EVENTS",
    "COMMANDS",
    "OUTCOMES",
    "KV_SCALING",
    "KV_LEASES",
    "SIGNALS",
    "METRICS",
    "CHECKS",
    "PARKED",
    "PROBES",
    "TAILS",
)
CONSUMERS = ("reconciler", "api-commands", "own", "api-0", "health-0")

OF_THE_SERVER = (
    "INFO",
    "STREAM.NAMES",
    "STREAM.LIST",
    "META.LEADER.STEPDOWN",
    "META.RESCUE",
    "SERVER.REMOVE",
    "SERVER.EVACUATE",
    "ACCOUNT.PURGE.platform",
    "ACCOUNT.STREAM.MOVE.platform.EVENTS",
    "ACCOUNT.STREAM.CANCEL_MOVE.platform.EVENTS",
)
OF_A_STREAM = (
    "STREAM.CREATE.{}",
    "STREAM.UPDATE.{}",
    "STREAM.INFO.{}",
    "STREAM.DELETE.{}",
    "STREAM.PURGE.{}",
    "STREAM.SNAPSHOT.{}",
    "STREAM.RESTORE.{}",
    "STREAM.MSG.DELETE.{}",
    "STREAM.MSG.GET.{}",
    "STREAM.PEER.REMOVE.{}",
    "STREAM.PEER.EVACUATE.{}",
    "STREAM.CANCEL_MOVE.{}",
    "STREAM.LEADER.STEPDOWN.{}",
    "DIRECT.GET.{}",
    "DIRECT.GET.{}.events.default.name.a.NameClaimed",
    "CONSUMER.CREATE.{}",
    "CONSUMER.NAMES.{}",
    "CONSUMER.LIST.{}",
)
OF_A_CONSUMER = (
    "CONSUMER.CREATE.{}.{}",
    "CONSUMER.CREATE.{}.{}.events.default.name.a.NameClaimed",
    "CONSUMER.DURABLE.CREATE.{}.{}",
    "CONSUMER.INFO.{}.{}",
    "CONSUMER.DELETE.{}.{}",
    "CONSUMER.PAUSE.{}.{}",
    "CONSUMER.RESET.{}.{}",
    "CONSUMER.UNPIN.{}.{}",
    "CONSUMER.MSG.NEXT.{}.{}",
    "CONSUMER.LEADER.STEPDOWN.{}.{}",
    "CONSUMER.PEER.REMOVE.{}.{}",
    "CONSUMER.PEER.EVACUATE.{}.{}",
)
"""Every request that the server knows, as its source lists them."""

EVERY_REQUEST = (
    *OF_THE_SERVER,
    *(pattern.format(stream) for pattern in OF_A_STREAM for stream in STREAMS),
    *(
        pattern.format(stream, consumer)
        for pattern in OF_A_CONSUMER
        for stream in STREAMS
        for consumer in CONSUMERS
    ),
)

_READS = {
    "STREAM.INFO.EVENTS",
    "STREAM.MSG.GET.EVENTS",
    "DIRECT.GET.EVENTS",
}
_READS_SAMPLES = {
    "STREAM.INFO.METRICS",
    "STREAM.MSG.GET.METRICS",
    "DIRECT.GET.METRICS",
}
_OTHERS = {
    "INFO",
    "STREAM.NAMES",
    "STREAM.INFO.EVENTS",
    "STREAM.MSG.GET.EVENTS",
    "DIRECT.GET.EVENTS",
    "DIRECT.GET.EVENTS.events.default.name.a.NameClaimed",
    "CONSUMER.CREATE.EVENTS",
    "CONSUMER.NAMES.EVENTS",
    "CONSUMER.LIST.EVENTS",
    *(
        pattern.format("EVENTS", consumer)
        for pattern in (
            "CONSUMER.CREATE.{}.{}",
            "CONSUMER.CREATE.{}.{}.events.default.name.a.NameClaimed",
            "CONSUMER.DURABLE.CREATE.{}.{}",
            "CONSUMER.INFO.{}.{}",
            "CONSUMER.DELETE.{}.{}",
            "CONSUMER.MSG.NEXT.{}.{}",
        )
        for consumer in CONSUMERS
    ),
}

ANSWERED = {
    "api": {
        *_READS,
        *_READS_SAMPLES,
        "CONSUMER.CREATE.EVENTS.api-0",
        "CONSUMER.CREATE.METRICS.api-0",
        "STREAM.MSG.GET.OUTCOMES",
        "STREAM.MSG.GET.KV_SCALING",
        "STREAM.MSG.GET.CHECKS",
        "DIRECT.GET.TAILS",
        "CONSUMER.INFO.COMMANDS.api-commands",
        "CONSUMER.MSG.NEXT.COMMANDS.api-commands",
    },
    "reconciler": {
        *_READS,
        "CONSUMER.INFO.EVENTS.reconciler",
        "CONSUMER.MSG.NEXT.EVENTS.reconciler",
        "STREAM.MSG.GET.KV_LEASES",
    },
    "health": {
        *_READS,
        "CONSUMER.CREATE.EVENTS.health-0",
        "DIRECT.GET.TAILS",
        "STREAM.INFO.TAILS",
        "STREAM.MSG.GET.KV_LEASES",
    },
    "autoscaler": {
        *_READS,
        *_READS_SAMPLES,
        "STREAM.MSG.GET.KV_SCALING",
        "DIRECT.GET.KV_SCALING",
        "STREAM.MSG.GET.KV_LEASES",
    },
    "router": _READS,
    # In the account of the mirror: no stream or consumer of that name there is ours.
    "commands": _OTHERS,
}


@pytest.mark.parametrize("user", ANSWERED)
async def test_no_other_request_of_jetstream_is_answered(lasting_platform: PlatformProcess, user: str):
    async with connected_as(lasting_platform, "api") as api:
        await api.jetstream().publish("append.default.name.a.NameClaimed", b"{}")
    # What is asked of a consumer that is not there, or of one that has nothing, is not answered either.
    expected = {request for request in ANSWERED[user] if "MSG.NEXT" not in request}
    async with connected_as(lasting_platform, user) as client:
        subjects_ = {request: f"$JS.API.{request}" for request in EVERY_REQUEST}
        gate = asyncio.Semaphore(128)

        async def is_answered(request: str) -> bool:
            within_s = PATIENCE_S if request in expected else SILENT_FOR_S
            async with gate:
                return await answer(client, subjects_[request], within_s=within_s) is not None

        answered = await asyncio.gather(*(is_answered(request) for request in EVERY_REQUEST))
    found = {request for request, is_so in zip(EVERY_REQUEST, answered, strict=True) if is_so}
    assert found <= ANSWERED[user]
    assert found >= expected
