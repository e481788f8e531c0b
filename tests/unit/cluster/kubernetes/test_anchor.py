"""Which plan an anchor admits, and what it lists afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.cluster.kubernetes import anchor as anchors
from libs.common.cluster.kubernetes.anchor import (
    MOST_BYTES,
    NOWHERE,
    TOMBSTONE_FOR,
    Anchor,
    Listed,
    Setback,
    Whereabouts,
    admit,
)
from libs.common.errors import CannotApply, DeploymentUnavailable, Fenced
from libs.common.events.envelope import Position
from tests.support.clusters import DEPLOYMENT, run_of, template, workload

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = Listed("a", "run", "spec"), Listed("b", "run", "spec")
PRESENT = Anchor("default", DEPLOYMENT, Position(5, "log", "h5"), (A, B), {"run": template()})


def admitted(present, plan, *, fence=Position(6, "log", "h6"), now=NOW, **where):  # noqa: B008
    return admit(
        present,
        plan,
        fence,
        where=Whereabouts(**where),
        new_ids=(f"new-{number}" for number in range(100_000)),
        now=now,
    )


def shown(anchor):
    return [(one.replica_id, one.run_id, one.is_stopping) for one in anchor.replicas]


def test_a_first_plan_lists_what_it_wants():
    after = admitted(None, workload(run_of(2), run_of(1, run_id="other", spec_id="newer")), fence=1)
    assert after.replicas == (
        Listed("new-0", "run", "spec"),
        Listed("new-1", "run", "spec"),
        Listed("new-2", "other", "newer"),
    )
    assert after.fence == Position(1)
    assert after.templates == {"run": template(), "other": template()}


@pytest.mark.parametrize(
    ("plan", "told", "expected"),
    [
        pytest.param(workload(run_of(2)), {}, [("a", False), ("b", False)], id="the same again"),
        pytest.param(workload(run_of(1)), {}, [("a", False), ("b", False)], id="too many are left alone"),
        pytest.param(
            workload(run_of(2), retiring=["a"]),
            {},
            [("a", False), ("b", False), ("new-0", False)],
            id="retiring ones go on and do not count",
        ),
        pytest.param(
            workload(run_of(1), retiring=["a"], stopping=["a"]),
            {},
            [("a", True), ("b", False)],
            id="stopping ones are told to end",
        ),
        pytest.param(
            workload(run_of(2)),
            {"gone": frozenset({"a"})},
            [("b", False), ("new-0", False)],
            id="one that is gone is replaced, under another id",
        ),
        pytest.param(
            workload(run_of(2)),
            {"ending": frozenset({"a"})},
            [("a", True), ("b", False), ("new-0", False)],
            id="one that ends unasked is replaced before it has ended",
        ),
    ],
)
def test_a_plan_admitted(plan, told, expected):
    assert [(one.replica_id, one.is_stopping) for one in admitted(PRESENT, plan, **told).replicas] == expected


def test_a_run_without_a_replica_left_leaves_no_template():
    plan = workload(run_of(1, run_id="new"))
    assert admitted(PRESENT, plan, gone=frozenset({"a", "b"})).templates.keys() == {"new"}
    assert admitted(PRESENT, plan, gone=frozenset({"a"})).templates.keys() == {"run", "new"}


def test_one_told_to_end_never_counts_again():
    stopping = replace(PRESENT, replicas=(replace(A, is_stopping=True),))
    assert shown(admitted(stopping, workload(run_of(1)))) == [("a", "run", True), ("new-0", "run", False)]


@pytest.mark.parametrize("fence", [Position(4, "log", "h4"), Position(9, "another", "h9")])
def test_an_older_plan_or_one_of_another_log_is_refused(fence):
    for refused in (
        lambda: admitted(PRESENT, workload(run_of(5)), fence=fence),
        lambda: anchors.remove(PRESENT, DEPLOYMENT, fence, where=NOWHERE, now=NOW),
    ):
        with pytest.raises(Fenced) as fenced:
            refused()
        assert fenced.value.by == PRESENT.fence


def test_a_removal_tells_all_to_end_and_stays_as_a_tombstone():
    tombstone = anchors.remove(
        PRESENT, DEPLOYMENT, Position(9, "log", "h9"), where=Whereabouts(gone=frozenset({"b"})), now=NOW
    )
    assert (shown(tombstone), tombstone.fence.sequence) == ([("a", "run", True)], 9)
    assert not anchors.is_expired(tombstone, NOW + TOMBSTONE_FOR - timedelta(seconds=1))
    assert anchors.is_expired(tombstone, NOW + TOMBSTONE_FOR)
    assert not anchors.is_expired(PRESENT, NOW + 100 * TOMBSTONE_FOR)
    with pytest.raises(Fenced):
        admitted(tombstone, workload(run_of(1)), fence=Position(8, "log", "h8"))
    again = admitted(tombstone, workload(run_of(1)), fence=Position(10, "log", "h10"))
    assert (shown(again), again.removed_at) == ([("a", "run", True), ("new-0", "run", False)], None)


def test_removing_what_never_was_remembers_that():
    tombstone = anchors.remove(None, DEPLOYMENT, 9, where=NOWHERE, now=NOW)
    with pytest.raises(Fenced):
        admitted(tombstone, workload(run_of(1)), fence=8)


@pytest.mark.parametrize(
    "anchor",
    [
        PRESENT,
        replace(PRESENT, replicas=(replace(A, is_stopping=True), B), removed_at=NOW),
        replace(PRESENT, setbacks={"run": Setback(3, NOW)}),
        Anchor("", DEPLOYMENT, Position(3), removed_at=NOW),
    ],
)
def test_it_is_read_as_it_was_written(anchor):
    assert anchors.from_data("d-x", anchors.to_data(anchor)) == anchor
    assert anchors.size_of(anchor) == sum(len(k) + len(v) for k, v in anchors.to_data(anchor).items())


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("plan.json"),
        lambda data: data.update({"plan.json": "{"}),
        lambda data: data.update({"plan.json": "[]"}),
        lambda data: data.update({"plan.json": data["plan.json"].replace('"sequence":5', '"sequence":null')}),
        lambda data: data.pop("run.template.json"),
        lambda data: data.update({"run.template.json": '{"image":"x"}'}),
    ],
)
def test_one_that_was_spoilt_by_hand_names_itself(change):
    data = anchors.to_data(PRESENT)
    change(data)
    with pytest.raises(DeploymentUnavailable, match="the anchor ConfigMap d-x cannot be read: "):
        anchors.from_data("d-x", data)


def test_what_a_later_version_added_does_not_count():
    data = anchors.to_data(PRESENT)
    data["plan.json"] = data["plan.json"].replace('"version":2', '"version":3,"later":{}')
    assert anchors.from_data("d-x", data | {"later": "x"}) == PRESENT


def test_a_plan_that_does_not_fit_into_an_anchor_is_refused():
    admitted(None, workload(run_of(5_000, run_id="r" * 32, spec_id="s" * 32)))
    with pytest.raises(CannotApply, match=rf"takes \d+ bytes; allowed: at most {MOST_BYTES}.*12000 replicas"):
        admitted(None, workload(run_of(12_000, run_id="r" * 32, spec_id="s" * 32)))


ONE = frozenset({"a"})
WANTED = workload(run_of(2), run_of(1, run_id="other"))


def after_failures(number, *, first=PRESENT):
    """The anchor after so many replicas of its run ended in a row without being ready, each as soon as it
    was made; and when the last one did."""
    anchor, now = first, NOW
    for _ in range(number):
        newest = next(one.replica_id for one in reversed(anchor.replicas) if not one.is_stopping)
        failed = frozenset({newest})
        anchor = admitted(anchor, workload(run_of(2)), ending=failed, failed=failed, now=now)
        ended_at, now = now, anchor.setbacks["run"].until
        anchor = admitted(anchor, workload(run_of(2)), now=now)
    return anchor, ended_at


@pytest.mark.parametrize(("failures", "pause_s"), [(1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (20, 300)])
def test_the_replacement_of_what_was_never_ready_waits_longer_and_longer(failures, pause_s):
    anchor, ended_at = after_failures(failures)
    assert anchor.setbacks["run"] == Setback(failures, ended_at + timedelta(seconds=pause_s))


def test_a_run_in_its_back_off_gets_nothing_and_others_do():
    after = admitted(PRESENT, WANTED, ending=ONE, failed=ONE)
    assert [(one.replica_id, one.run_id, one.is_stopping) for one in after.replicas] == [
        ("a", "run", True),
        ("b", "run", False),
        ("new-0", "other", False),
    ]
    just_before = NOW + timedelta(seconds=9.9)
    assert admitted(after, WANTED, gone=ONE, failed=ONE, now=just_before).replicas == after.replicas[1:]
    later = admitted(after, WANTED, gone=ONE, failed=ONE, now=NOW + timedelta(seconds=10))
    assert shown(later)[-1] == ("new-0", "run", False)


def test_one_that_was_ready_is_replaced_at_once():
    assert shown(admitted(PRESENT, WANTED, ending=ONE))[-2:] == [
        ("new-0", "run", False),
        ("new-1", "other", False),
    ]


def test_a_ready_replica_ends_the_back_off_of_its_run():
    anchor, _ = after_failures(3)
    assert admitted(anchor, workload(run_of(2)), ready=frozenset({"a"})).setbacks == {}


def test_one_that_was_told_to_end_is_no_setback():
    assert admitted(PRESENT, workload(run_of(1), stopping=["a"]), ending=ONE, failed=ONE).setbacks == {}


def test_after_its_back_off_a_run_gets_one_by_each_plan():
    plan = workload(run_of(3))
    both = frozenset({"a", "b"})
    waits = admitted(PRESENT, plan, ending=both, failed=both)
    assert [one for one in waits.replicas if not one.is_stopping] == []
    due = NOW + timedelta(seconds=10)
    first = admitted(waits, plan, gone=both, now=due)
    assert first.replicas == (Listed("new-0", "run", "spec", failed_before=1),)
    assert anchors.from_data("d-x", anchors.to_data(first)) == first
    second = admit(
        first, plan, Position(6, "log", "h6"), where=Whereabouts(), new_ids=iter(["next"]), now=due
    )
    assert second.replicas == (*first.replicas, Listed("next", "run", "spec", failed_before=1))
