"""What a deployment of many replicas costs the log: bytes written, and what a start has to read."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from libs.common.cluster.port import ObservedReplica
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.ids import new_id
from libs.common.log.sealing import seal
from libs.common.state.replica import PAGE_SIZE, Roster, record
from services.health.verdicts import decide
from tests.unit.health.scene import NOW, PENDING, READY, RUN, STOPPING, shown

REPLICAS = 240
"""Many pages: what one replica costs does not depend on how many others there are."""
MOST_BYTES = 32 * 1024 * 1024 * REPLICAS / 1000
MOST_BYTES_OF_A_FACT = 64 * 1024
AT_ONCE = 5
"""Replicas that a look finds changed: a machine starts a few of them while health looks once."""

AGGREGATE = Aggregate("default", "replica", "d" * 32)
CAUSE = Cause("service:health", "c" * 32, "c" * 32, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class Look:
    """What health sees and writes, look by look."""

    def __init__(self) -> None:
        self.now = NOW
        self.seen: dict[str, ObservedReplica] = {}
        self.ready: set[str] = set()
        self.roster = Roster()
        self.written = 0
        self.largest = 0
        self.newest: dict[str, int] = {}

    def again(self) -> None:
        self.now += timedelta(milliseconds=100)
        facts = decide(
            self.roster,
            list(self.seen.values()),
            {(replica_id, 0): READY for replica_id in self.ready},
            now=self.now,
        )
        pages, self.roster = record(self.roster, facts)
        drafts = [Draft(AGGREGATE, fact) for fact in (*pages, *facts)]
        for event in seal(
            drafts,
            heads={},
            guards=[],
            cause=CAUSE,
            source="specstream/health",
            now=self.now,
            fresh_id=new_id,
        ):
            headers = sum(len(name) + len(value) + 4 for name, value in event.headers.items())
            self.written += len(event.subject) + headers + len(event.data)
            self.largest = max(self.largest, len(event.data))
            self.newest[event.subject] = len(event.data)

    def each(self, replica_ids: list[str]) -> Iterable[list[str]]:
        for at in range(0, len(replica_ids), AT_ONCE):
            yield replica_ids[at : at + AT_ONCE]
            self.again()


def test_many_replicas_up_and_down_write_a_bounded_number_of_bytes() -> None:
    look = Look()
    mixed = random.Random(7)
    ids = [new_id() for _ in range(REPLICAS)]
    for few in look.each(ids):
        new = (replace(shown(PENDING), replica_id=i, created_at=look.now, run_id=new_id()) for i in few)
        look.seen |= {o.replica_id: o for o in new}
    for few in look.each(ids):
        started = {"phase": RUN, "host": "127.0.0.1", "ports": {8000: 40000}, "started_at": look.now}
        look.seen |= {i: replace(look.seen[i], **started) for i in few}
    mixed.shuffle(ids)
    for few in look.each(ids):
        look.ready |= set(few)
    assert len(look.roster.ready()) == REPLICAS

    # What a start reads now: each page once, and the newest change of each kind.
    assert len(look.newest) <= -(-REPLICAS // PAGE_SIZE) + 6
    assert sum(look.newest.values()) < 600 * REPLICAS

    mixed.shuffle(ids)
    for few in look.each(ids):
        look.seen |= {i: replace(look.seen[i], phase=STOPPING) for i in few}
    for few in look.each(ids):
        for replica_id in few:
            del look.seen[replica_id]
    assert look.roster.replicas == ()
    assert look.written < MOST_BYTES
    assert look.largest < MOST_BYTES_OF_A_FACT
