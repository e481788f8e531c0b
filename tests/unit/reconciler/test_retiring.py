"""Each row of the table of `decide_retirement`."""

from collections.abc import Sequence

import pytest

from libs.common.cluster.port import ObservedReplica, ReplicaPhase
from libs.common.events.replica import Replica, ReplicaReason, ReplicaState
from libs.common.events.rollout import RetireReason
from services.reconciler.retiring import Retirement, Staying, Wanted, decide_retirement
from tests.unit.reconciler.scene import listed, run_of, shown


def ready(replica_id: str) -> Staying:
    return Staying(shown(replica_id), listed(replica_id))


def starting(replica_id: str) -> Staying:
    return Staying(shown(replica_id), listed(replica_id, state=ReplicaState.STARTING))


def unready(replica_id: str) -> Staying:
    return Staying(shown(replica_id), listed(replica_id, state=ReplicaState.UNREADY, was_ready=True))


def unlisted(replica_id: str) -> Staying:
    return Staying(shown(replica_id), None)


def wanted(replicas: int, stop_reason: RetireReason = RetireReason.SCALED_DOWN) -> Wanted:
    return Wanted(run_of("b"), replicas, stop_reason)


def superseded(*ids: str) -> Retirement:
    return Retirement(frozenset(ids), RetireReason.SUPERSEDED)


def scaled_down(*ids: str) -> Retirement:
    return Retirement(frozenset(ids), RetireReason.SCALED_DOWN)


@pytest.mark.parametrize(
    ("goal", "staying", "expected"),
    [
        pytest.param(wanted(2), [], None, id="nobody is there, nobody leaves"),
        pytest.param(wanted(2), [ready("b1"), ready("b2")], None, id="as many as wanted all stay"),
        pytest.param(
            wanted(0, RetireReason.DISABLED),
            [ready("b1"), ready("a1"), starting("a2")],
            Retirement(frozenset({"b1", "a1", "a2"}), RetireReason.DISABLED),
            id="none wanted: everybody leaves at once",
        ),
        pytest.param(wanted(0), [], None, id="none wanted and none there"),
        pytest.param(
            wanted(2),
            [ready("a1"), ready("a2"), starting("b1"), starting("b2")],
            None,
            id="the old run serves until a new one is ready",
        ),
        pytest.param(
            wanted(2),
            [ready("a1"), ready("a2"), ready("b1"), starting("b2")],
            superseded("a2"),
            id="each new one that is ready takes the place of the youngest old one",
        ),
        pytest.param(
            wanted(2),
            [ready("a1"), ready("b1"), starting("b2")],
            None,
            id="and of no more than one",
        ),
        pytest.param(
            wanted(3),
            [unready("a1"), ready("a2"), ready("a3"), ready("b1"), starting("b2")],
            superseded("a1"),
            id="one that is not ready leaves before those that serve",
        ),
        pytest.param(
            wanted(8),
            [ready("a1"), ready("a2"), ready("b1"), ready("b2")],
            None,
            id="when there are to be more, all old ones stay for so long",
        ),
        pytest.param(
            wanted(1),
            [ready("a1"), ready("a2"), ready("a3"), starting("b1")],
            None,
            id="when there are to be fewer, all old ones stay until one new one is ready",
        ),
        pytest.param(
            wanted(2),
            [ready("a1"), unready("a2"), ready("b1"), ready("b2")],
            superseded("a1", "a2"),
            id="the new run has enough: the old one leaves whole",
        ),
        pytest.param(
            wanted(2),
            [ready("a1"), starting("a2"), unlisted("a3"), unready("a4"), starting("b1")],
            superseded("a2", "a3"),
            id="what never served leaves at once, what did waits",
        ),
        pytest.param(
            wanted(1),
            [ready("b1"), ready("b2"), ready("b3")],
            scaled_down("b2", "b3"),
            id="of the ready ones the youngest leave",
        ),
        pytest.param(
            wanted(2),
            [starting("b1"), ready("b2"), ready("b3")],
            scaled_down("b1"),
            id="one that is not ready leaves before a younger ready one",
        ),
        pytest.param(
            wanted(2),
            [unready("b1"), starting("b2"), ready("b3"), starting("b4")],
            scaled_down("b2", "b4"),
            id="one that never served leaves before one that did",
        ),
        pytest.param(
            wanted(1),
            [ready("a1"), ready("b1"), ready("b2")],
            superseded("a1", "b2"),
            id="excess and old run leave together",
        ),
    ],
)
def test_decide_retirement(goal: Wanted, staying: Sequence[Staying], expected: Retirement | None) -> None:
    assert decide_retirement(goal, staying) == expected


def without_place(replica_id: str) -> Staying:
    pending = shown(replica_id, phase=ReplicaPhase.PENDING, reason=ReplicaReason.UNSCHEDULABLE)
    return Staying(pending, listed(replica_id, state=ReplicaState.PENDING))


def pulling(replica_id: str) -> Staying:
    pending = shown(replica_id, phase=ReplicaPhase.PENDING, reason=ReplicaReason.IMAGE_PULL)
    return Staying(pending, listed(replica_id, state=ReplicaState.PENDING))


@pytest.mark.parametrize(
    ("goal", "staying", "expected"),
    [
        pytest.param(
            2,
            [ready("a1"), ready("a2"), without_place("b1"), without_place("b2")],
            superseded("a2"),
            id="none fits",
        ),
        pytest.param(
            2,
            [ready("a1"), ready("b1"), without_place("b2")],
            superseded("a1"),
            id="one fitted, the next does not",
        ),
        pytest.param(
            2, [unready("a1"), ready("a2"), without_place("b1")], superseded("a1"), id="the least useful"
        ),
        pytest.param(
            2, [ready("a1"), starting("b1"), without_place("b2")], None, id="one is about to be ready"
        ),
        pytest.param(2, [ready("a1"), pulling("b1"), without_place("b2")], None, id="one has a place"),
        pytest.param(2, [ready("a1"), starting("b1"), starting("b2")], None, id="all have a place"),
        pytest.param(2, [ready("a1")], None, id="none is there yet"),
        pytest.param(2, [without_place("b1"), ready("b2")], None, id="nobody is left to make room"),
        pytest.param(
            2,
            [ready("a1"), ready("a2"), ready("b1"), without_place("b2")],
            superseded("a2"),
            id="one leaves for the one that is ready, and that makes room",
        ),
    ],
)
def test_without_surge_one_makes_room(
    goal: int, staying: Sequence[Staying], expected: Retirement | None
) -> None:
    without = Wanted(run_of("b"), goal, RetireReason.SCALED_DOWN, surges=False)
    assert decide_retirement(without, staying) == expected


def test_with_surge_nobody_makes_room() -> None:
    full = [ready("a1"), ready("a2"), without_place("b1"), without_place("b2")]
    assert decide_retirement(wanted(2), full) is None


def test_the_next_one_makes_room_when_the_one_before_is_gone() -> None:
    without = Wanted(run_of("b"), 2, RetireReason.SCALED_DOWN, surges=False)
    full = [ready("a1"), without_place("b1"), without_place("b2")]
    assert decide_retirement(without, full, is_making_room=True) is None
    assert decide_retirement(without, full) == superseded("a1")


@pytest.mark.parametrize(
    ("replica", "line", "is_ready"),
    [
        pytest.param(shown("a1"), listed("a1"), True, id="running in both views"),
        pytest.param(shown("a1"), None, False, id="the roster does not know it yet"),
        pytest.param(shown("a1", phase=ReplicaPhase.EXITED), listed("a1"), False, id="it has just died"),
        pytest.param(shown("a1", attempt=1), listed("a1"), False, id="the roster means the process before"),
        pytest.param(shown("a1"), listed("a1", state=ReplicaState.UNREADY), False, id="not ready now"),
    ],
)
def test_ready_needs_both_views_to_agree(
    replica: ObservedReplica, line: Replica | None, is_ready: bool
) -> None:
    assert Staying(replica, line).is_ready is is_ready
