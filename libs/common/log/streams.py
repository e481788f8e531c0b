"""Every stream and durable as it should be, with its limits and its policy. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nats.js import api

from libs.common.bus import subjects
from libs.common.events.envelope import APPEND_ROOT, ROOT, append_subject, select
from libs.common.metrics.port import KEPT_S
from libs.common.state.aggregates import waking
from libs.common.tails.tail import KEPT_S as KEPT_OF_TAILS_S
from libs.common.tails.tail import MOST_REPLICAS

_MINUTE = 60.0
_DAY = 24 * 60 * _MINUTE
_MIB = 1024 * 1024


MOST_OUTCOMES = 500_000
"""Commands whose outcome is remembered. The broker's index takes some 270 bytes of memory for each."""

MOST_REASONINGS = 50_000
"""Deployments whose reasoning about scaling is kept."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """A stream as it should be, and how one that is otherwise gets there."""

    wanted: api.StreamConfig
    updatable: frozenset[str]
    """The fields that may be changed on a stream with messages."""
    earlier: Mapping[str, Any] = field(default_factory=dict)
    """Fields as an earlier version of Specstream made them. A stream that has them all exactly so is brought
    to `wanted` in them, whatever `updatable` says."""
    has_identity: bool = False
    """Whether the stream is told from every other by an identity that is made with it."""

    @property
    def is_emptied_by_its_durable(self) -> bool:
        return self.wanted.retention is api.RetentionPolicy.INTEREST

    def updatable_on(self, present: Mapping[str, Any]) -> frozenset[str]:
        is_earlier = all(plain(present.get(name)) == plain(value) for name, value in self.earlier.items())
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
                subjects=[append_subject(select())],
                # Nobody else listens to the offers, some of which are refused. What is stored the server
                # itself publishes, so a plain subscription hears that, and nothing but that.
                subject_transform=api.SubjectTransform(src=f"{APPEND_ROOT}.>", dest=f"{ROOT}.>"),
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
                name=subjects.SCALING_STREAM,
                # What is lost of it is worked out again, so the oldest go first.
                subjects=[f"{subjects.SCALING_ROOT}.*"],
                storage=api.StorageType.FILE,
                num_replicas=replicas,
                max_age=30 * _DAY,
                max_msgs=MOST_REASONINGS,
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
                name=subjects.LEASES_STREAM,
                # In a file: one that a restart of the broker forgot could be taken while it is still held.
                subjects=[f"{subjects.LEASES_ROOT}.*"],
                storage=api.StorageType.FILE,
                num_replicas=replicas,
                max_msgs=100,
                max_bytes=1 * _MIB,
                max_msgs_per_subject=1,
                discard=api.DiscardPolicy.NEW,
                allow_direct=True,
                duplicate_window=1 * _MINUTE,
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
                name=subjects.METRICS_STREAM,
                subjects=[subjects.samples()],
                # In a file, because what is scaled after a restart rests on the minutes before it. One copy:
                # a sample that is lost is unknown, which decides nothing.
                storage=api.StorageType.FILE,
                num_replicas=1,
                max_age=KEPT_S,
                max_bytes=256 * _MIB,
                discard=api.DiscardPolicy.OLD,
                allow_direct=True,
                duplicate_window=1 * _MINUTE,
            ),
            droppable,
        ),
        StreamPlan(
            api.StreamConfig(
                name=subjects.CHECKS_STREAM,
                subjects=[subjects.checks("*")],
                storage=api.StorageType.MEMORY,
                num_replicas=1,
                # What was not told again for so long counts as unknown.
                max_age=10 * _MINUTE,
                max_bytes=64 * _MIB,
                max_msgs_per_subject=1,
                allow_direct=True,
                duplicate_window=1 * _MINUTE,
            ),
            droppable,
        ),
        StreamPlan(
            api.StreamConfig(
                name=subjects.TAILS_STREAM,
                # As many subjects as a deployment may have tails, each with one: no writer can keep more.
                subjects=[subjects.tail("*", slot) for slot in range(MOST_REPLICAS)],
                storage=api.StorageType.FILE,
                num_replicas=replicas,
                max_age=KEPT_OF_TAILS_S,
                max_bytes=1024 * _MIB,
                max_msgs_per_subject=1,
                discard=api.DiscardPolicy.OLD,
                allow_direct=True,
                # What is deleted is replaced by nothing, which goes after a second.
                allow_msg_ttl=True,
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
            *(kind.filter for kind in waking("reconciler")),
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


def plain(value: Any) -> Any:
    """An absent field, a False one and an unlimited one mean the same to the broker."""
    if isinstance(value, list):
        return sorted(value)
    return None if value in (None, False, -1, "") else value
