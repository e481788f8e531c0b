"""The one step that makes streams and durables; services never declare them. `python -m` runs it.

Safe to run at every start: what is there and right is left alone, harmless drift is put right, and a
difference that could lose or hide events stops with an error that names it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from libs.common.bus import subjects
from libs.common.bus.settings import ServiceSettings
from libs.common.errors import SpecstreamError
from libs.common.events.envelope import OFFERS, ROOT, offered, select
from libs.common.ids import new_id
from libs.common.log.jetstream.mirror import keep_mirror
from libs.common.log.jetstream.standing import IDENTITY

_MINUTE = 60.0
_DAY = 24 * 60 * _MINUTE
_MIB = 1024 * 1024


MOST_OUTCOMES = 500_000
"""Commands whose outcome is remembered. The broker's index takes some 270 bytes of memory for each."""


class CannotProvision(SpecstreamError):
    """What the broker holds differs from what Specstream needs, and changing it could do harm."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """wanted: the configuration. updatable: the fields that may be changed on a stream with messages.

    earlier: fields as an earlier version of Specstream made them. A stream that has them all exactly so is
    brought to `wanted` in them, whatever `updatable` says.
    has_identity: whether the stream is told from every other by an identity that is made with it.
    """

    wanted: api.StreamConfig
    updatable: frozenset[str]
    earlier: Mapping[str, Any] = field(default_factory=dict)
    has_identity: bool = False

    @property
    def is_emptied_by_its_durable(self) -> bool:
        return self.wanted.retention is api.RetentionPolicy.INTEREST

    def updatable_on(self, present: Mapping[str, Any]) -> frozenset[str]:
        is_earlier = all(_plain(present.get(name)) == _plain(value) for name, value in self.earlier.items())
        return self.updatable | self.earlier.keys() if is_earlier else self.updatable


@dataclass(frozen=True, slots=True)
class DurablePlan:
    stream: str
    wanted: api.ConsumerConfig
    updatable: frozenset[str] = frozenset({"ack_wait", "max_deliver", "filter_subjects", "max_ack_pending"})


def make_streams(*, replicas: int) -> tuple[StreamPlan, ...]:
    droppable = frozenset(
        {"subjects", "max_age", "max_bytes", "duplicate_window", "allow_direct", "num_replicas"}
    )
    return (
        StreamPlan(
            api.StreamConfig(
                name=subjects.EVENTS_STREAM,
                # Exactly the five tokens of an event, so that nothing else can ever get into the log.
                subjects=[offered(select())],
                # Nobody else listens to the offers, some of which are refused. What is stored the server
                # itself publishes, so a plain subscription hears that, and nothing but that.
                subject_transform=api.SubjectTransform(src=f"{OFFERS}.>", dest=f"{ROOT}.>"),
                republish=api.RePublish(src=f"{ROOT}.>", dest=f"{ROOT}.>"),
                storage=api.StorageType.FILE,
                retention=api.RetentionPolicy.LIMITS,
                discard=api.DiscardPolicy.NEW,
                num_replicas=replicas,
                max_age=0,
                max_msgs=-1,
                max_bytes=-1,
                max_msgs_per_subject=-1,
                deny_delete=True,
                deny_purge=True,
                allow_direct=True,
                allow_atomic=True,
                # Neither of these: both let a publisher remove what is stored.
                allow_rollup_hdrs=False,
                allow_msg_ttl=False,
                duplicate_window=10 * _MINUTE,
            ),
            # Turning a protection on is harmless; a limit that may have dropped events is not.
            frozenset(
                {
                    "duplicate_window",
                    "allow_direct",
                    "allow_atomic",
                    "num_replicas",
                    "deny_delete",
                    "deny_purge",
                    "republish",
                }
            ),
            earlier={"subjects": [select()], "subject_transform": None},
            has_identity=True,
        ),
        StreamPlan(
            api.StreamConfig(
                name=subjects.COMMANDS_STREAM,
                # Only what somebody answers: anything else is refused to its publisher, not kept in silence.
                subjects=[subjects.SUBMIT, subjects.DELETE, *subjects.ANSWERS],
                storage=api.StorageType.FILE,
                num_replicas=replicas,
                # Kept until the api has handled it, however long that takes. So what fills the stream is
                # what waits, and then the next command is refused to its publisher. An answer is heard by
                # who listens: nothing waits for it.
                retention=api.RetentionPolicy.INTEREST,
                discard=api.DiscardPolicy.NEW,
                max_age=0,
                max_bytes=256 * _MIB,
                allow_direct=True,
                # As short as can be: commands are known by source and id. By `Nats-Msg-Id` alone the broker
                # would drop another source's, and the repeat of who has not heard the answer.
                duplicate_window=0.1,
            ),
            droppable | {"retention", "discard"},
        ),
        StreamPlan(
            api.StreamConfig(
                name=subjects.OUTCOMES_STREAM,
                # One message for each command that there was, replaced as it goes on. When there are too
                # many the oldest are forgotten first: to take no more commands would be worse.
                subjects=[f"{subjects.OUTCOMES_ROOT}.*"],
                storage=api.StorageType.FILE,
                num_replicas=replicas,
                max_age=30 * _DAY,
                max_msgs=MOST_OUTCOMES,
                max_bytes=256 * _MIB,
                max_msgs_per_subject=1,
                discard=api.DiscardPolicy.OLD,
                allow_direct=True,
                duplicate_window=2 * _MINUTE,
            ),
            droppable | {"max_msgs"},
        ),
        StreamPlan(
            api.StreamConfig(
                name=subjects.SIGNALS_STREAM,
                subjects=["signals.>"],
                storage=api.StorageType.MEMORY,
                num_replicas=1,
                max_age=10 * _MINUTE,
                max_bytes=32 * _MIB,
                allow_direct=True,
                duplicate_window=1 * _MINUTE,
            ),
            droppable,
        ),
        StreamPlan(
            api.StreamConfig(
                name=subjects.PROBES_STREAM,
                subjects=[subjects.WRITE_PROBE],
                storage=api.StorageType.FILE,
                num_replicas=replicas,
                max_msgs=1,
                max_bytes=64 * 1024,
                allow_atomic=True,
                duplicate_window=1 * _MINUTE,
            ),
            droppable,
        ),
        StreamPlan(
            api.StreamConfig(
                name=subjects.PARKED_STREAM,
                subjects=[
                    f"$JS.EVENT.ADVISORY.CONSUMER.{advisory}.{durable.stream}.{durable.wanted.durable_name}"
                    for durable in make_durables()
                    for advisory in ("MAX_DELIVERIES", "MSG_TERMINATED")
                ],
                storage=api.StorageType.FILE,
                num_replicas=replicas,
                max_age=30 * _DAY,
                max_bytes=16 * _MIB,
                allow_direct=True,
                duplicate_window=2 * _MINUTE,
            ),
            droppable,
        ),
    )


def make_durables() -> tuple[DurablePlan, ...]:
    def durable(stream: str, name: str, *filters: str, **otherwise: Any) -> DurablePlan:
        usual = api.ConsumerConfig(
            durable_name=name,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=10,
            max_deliver=20,
            max_ack_pending=1000,
            filter_subjects=list(filters),
        )
        return DurablePlan(stream, usual.evolve(**otherwise))

    return (
        durable(
            subjects.EVENTS_STREAM,
            subjects.RECONCILER_DURABLE,
            "events.*.deployment.*.*",
            "events.*.replica.*.*",
            "events.*.traffic.*.*",
        ),
        durable(
            subjects.COMMANDS_STREAM,
            subjects.COMMANDS_DURABLE,
            subjects.SUBMIT,
            subjects.DELETE,
            # One at a time, whatever dies: no command overtakes another, and a later one waits for the
            # earlier one to be answered. The api says every second that it is at work on one, and gives up
            # on one by itself, with an answer: the broker never does.
            max_ack_pending=1,
            ack_wait=3,
            max_deliver=-1,
        ),
    )


async def provision(client: Client, *, replicas: int = 1) -> None:
    """Make every stream and durable, or assert that they are as they should be.

    replicas: of the streams that must survive a server; 1 in development, 3 with three servers.
    Raises CannotProvision.
    """
    jetstream = client.jetstream(timeout=10)
    streams = make_streams(replicas=replicas)
    for stream in streams:
        if stream.is_emptied_by_its_durable:
            await _make_keeping_all(jetstream, stream)
        else:
            await _provision_stream(jetstream, stream)
    for durable in make_durables():
        await _provision_durable(jetstream, durable)
    for stream in streams:
        if stream.is_emptied_by_its_durable:
            await _provision_stream(jetstream, stream)


async def _make_keeping_all(jetstream: JetStreamContext, plan: StreamPlan) -> None:
    """Until its durable is there nobody is interested in what comes, and it would be thrown away."""
    name = str(plan.wanted.name)
    try:
        await jetstream.stream_info(name)
    except NotFoundError:
        keeping = plan.wanted.evolve(retention=api.RetentionPolicy.LIMITS)
        await _call(jetstream.add_stream(keeping), f"stream {name}")


async def _provision_stream(jetstream: JetStreamContext, plan: StreamPlan) -> None:
    name = str(plan.wanted.name)
    try:
        present = (await jetstream.stream_info(name)).config
    except NotFoundError:
        wanted = plan.wanted.evolve(metadata={IDENTITY: new_id()}) if plan.has_identity else plan.wanted
        await _call(jetstream.add_stream(wanted), f"stream {name}")
        return
    if plan.has_identity and IDENTITY not in (present.metadata or {}):
        present = present.evolve(metadata={**(present.metadata or {}), IDENTITY: new_id()})
        await _call(jetstream.update_stream(present), f"stream {name}")
    held = present.as_dict()
    changes = _drift(f"stream {name}", plan.wanted.as_dict(), held, plan.updatable_on(held))
    if changes:
        await _call(
            jetstream.update_stream(present.evolve(**_fields(plan.wanted, changes))), f"stream {name}"
        )


async def _provision_durable(jetstream: JetStreamContext, plan: DurablePlan) -> None:
    name = str(plan.wanted.durable_name)
    what = f"durable {plan.stream}/{name}"
    try:
        present = (await jetstream.consumer_info(plan.stream, name)).config
    except NotFoundError:
        await _call(jetstream.add_consumer(plan.stream, plan.wanted), what)
        return
    changes = _drift(what, plan.wanted.as_dict(), present.as_dict(), plan.updatable)
    if changes:
        changed = present.evolve(**_fields(plan.wanted, changes))
        await _call(jetstream.add_consumer(plan.stream, changed), what)


def _drift(
    what: str, wanted: Mapping[str, Any], present: Mapping[str, Any], updatable: frozenset[str]
) -> frozenset[str]:
    """The fields to change. Raises CannotProvision for one that must not be changed."""
    different = frozenset(
        field for field, value in wanted.items() if _plain(value) != _plain(present.get(field))
    )
    if harmful := sorted(different - updatable):
        found = ", ".join(f"{one} is {present.get(one)!r}, not {wanted[one]!r}" for one in harmful)
        raise CannotProvision(f"{what} exists with another configuration: {found}")
    return different


def _plain(value: Any) -> Any:
    """An absent field, a False one and an unlimited one mean the same to the broker."""
    if isinstance(value, list):
        return sorted(value)
    return None if value in (None, False, -1, "") else value


def _fields(config: api.StreamConfig | api.ConsumerConfig, names: frozenset[str]) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names}


async def _call(request: Any, what: str) -> None:
    try:
        await request
    except APIError as error:
        raise CannotProvision(f"{what}: {error.description}") from error


class ProvisionSettings(ServiceSettings):
    """nats_mirror_seed_file: the seed of who owns the account of the mirror; without it there is none."""

    nats_mirror_seed_file: Path | None = None


async def main(settings: ProvisionSettings) -> None:
    async with _connected(settings, settings.nats_seed_file) as client:
        await provision(client)
        if settings.nats_mirror_seed_file is not None:
            async with _connected(settings, settings.nats_mirror_seed_file) as owner:
                await _call(keep_mirror(client, owner), "the mirror of EVENTS")


@asynccontextmanager
async def _connected(settings: ServiceSettings, seed: Path | None) -> AsyncIterator[Client]:
    client = await nats.connect(
        settings.nats_url,
        nkeys_seed=str(seed) if seed else None,
        inbox_prefix=b"_INBOX_provision",
        name="provision",
        allow_reconnect=False,
        connect_timeout=5,
    )
    try:
        yield client
    finally:
        await client.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(ProvisionSettings()))
    except CannotProvision as refused:
        sys.exit(f"provision: {refused}")
