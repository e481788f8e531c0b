"""One replica as the roster knows it and as the cluster shows it, in a few words."""

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common.cluster.port import ObservedReplica, ReplicaPhase
from libs.common.events.replica import ProbeKind, Replica, ReplicaFact, ReplicaReason, ReplicaState
from libs.common.spec.template import Template
from libs.common.state.replica import Roster
from services.health.examination import Conclusion, Condemned, NotReady, Ready
from services.health.verdicts import decide

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEMPLATE = Template(image="i", ports=(8000,), machine_type="C4")
PENDING, RUN, EXITED, STOPPING = ReplicaPhase
State, Reason = ReplicaState, ReplicaReason

READY = Ready(Reason.PROBE_SUCCEEDED)
FAILING = NotReady(Reason.PROBE_FAILED, "readiness probe: HTTP 503")
SENTENCE = Condemned(ProbeKind.LIVENESS, "liveness probe: HTTP 500")


def shown(phase: ReplicaPhase, attempt: int = 0, **changes: Any) -> ObservedReplica:
    has_process = phase is not PENDING
    fields: dict[str, Any] = {
        "host": "127.0.0.1",
        "ports": {8000: 40000 + attempt} if has_process else None,
        "started_at": NOW if has_process else None,
    }
    return ObservedReplica(
        "r", "run", "spec", TEMPLATE, phase, NOW - timedelta(minutes=1), attempt=attempt, **(fields | changes)
    )


def known(state: ReplicaState, attempt: int = 0, **changes: Any) -> Replica:
    address = None if state is State.PENDING else f"127.0.0.1:{40000 + attempt}"
    fields: dict[str, Any] = {"address": address, "attempt": attempt} | changes
    return Replica(
        replica_id="r",
        run_id="run",
        spec_id="spec",
        state=state,
        created_at=NOW - timedelta(minutes=1),
        **fields,
    )


def facts_of(
    before: Replica | None,
    now_shown: ObservedReplica | None,
    conclusion: Conclusion | None = None,
    leaving: frozenset[str] = frozenset(),
) -> list[ReplicaFact]:
    return decide(
        Roster.of([before] if before else []),
        [now_shown] if now_shown else [],
        {("r", now_shown.attempt): conclusion} if now_shown and conclusion else {},
        leaving=leaving,
        now=NOW,
    )


def story(facts: list[ReplicaFact]) -> list[tuple[str, str]]:
    """Type and state after each fact; `none` for a replica that is gone for good."""
    return [(f.event_type(), f.replica.state.value if f.replica else "none") for f in facts]
