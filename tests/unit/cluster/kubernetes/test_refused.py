"""A node that refuses every pod: what is asked of it in an hour, and what is told of it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.anchor import NOWHERE, Whereabouts, admit
from libs.common.cluster.kubernetes.pods import parse, show
from libs.common.events.envelope import Position
from libs.common.state.replica import Roster, record
from services.health.verdicts import decide
from tests.support.clusters import DEPLOYMENT, run_of, template, workload

START = datetime(2026, 1, 1, tzinfo=UTC)
RESYNC = timedelta(seconds=10)
"""How often the reconciler applies a plan that lacks replicas."""


def pod(listed, made_at, status):
    metadata = {
        "name": names.pod_name(listed.replica_id),
        "uid": f"u-{listed.replica_id}",
        "resourceVersion": "1",
        "creationTimestamp": made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "labels": names.pod_labels("default", DEPLOYMENT, listed.run_id, listed.replica_id),
    }
    return parse({"metadata": metadata, "spec": {"nodeName": "node-1"}, "status": status})


REFUSED = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no healthy devices present"}


class Hour:
    """The reconciler's plans, the anchor and health, without a server between them."""

    def __init__(self, replicas):
        self.plan = workload(run_of(replicas))
        self.anchor = None
        self.roster = Roster()
        self.now = START
        self.ids = (f"new-{number}" for number in range(10_000))
        self.tries = 0
        self.told = []

    def look(self, statuses):
        """Health sees every listed replica with one of these statuses, or none of them."""
        shown = [
            show(pod(one, self.now, statuses), one, template())
            for one in (self.anchor.replicas if statuses is not None else ())
        ]
        facts = decide(self.roster, shown, {}, now=self.now)
        _, self.roster = record(self.roster, facts)
        self.told += facts

    def apply(self, where):
        position = Position(5, "log", "h5")
        self.anchor = admit(self.anchor, self.plan, position, where=where, new_ids=self.ids, now=self.now)

    def go_by(self):
        while self.now < START + timedelta(hours=1):
            self.apply(NOWHERE)
            made = frozenset(one.replica_id for one in self.anchor.replicas)
            self.tries += len(made)
            if made:
                self.look({"phase": "Pending"})
                self.look(REFUSED)
                self.apply(Whereabouts(ending=made, failed=made))
                self.look(None)
                self.apply(Whereabouts(gone=made))
            self.now += RESYNC


@pytest.mark.parametrize("replicas", [1, 3])
def test_in_an_hour_it_is_asked_and_told_a_few_times_only(replicas):
    hour = Hour(replicas)
    hour.go_by()
    told = Counter(fact.event_type() for fact in hour.told)
    assert hour.tries <= 16 + replicas
    assert sum(told.values()) <= 20, told
    assert {getattr(fact, "reason", None) for fact in hour.told[-2:]} == {None, "rejected"}
    assert hour.roster.replicas == ()
