"""Which plan an anchor admits, and what it lists afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.cluster.kubernetes import anchor as anchors
from libs.common.cluster.kubernetes.anchor import MOST_BYTES, TOMBSTONE_FOR, Anchor, Listed, admit
from libs.common.errors import CannotApply, DeploymentUnavailable, Fenced
from libs.common.events.envelope import Position
from tests.support.clusters import DEPLOYMENT, run_of, template, workload

NONE = frozenset[str]()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = Listed("a", "run", "spec"), Listed("b", "run", "spec")
PRESENT = Anchor("default", DEPLOYMENT, Position(5, "log", "h5"), (A, B), {"run": template()})


def admitted(present, plan, *, fence=Position(6, "log", "h6"), gone=NONE, ending=NONE):  # noqa: B008
    numbers = iter(range(100_000))
    return admit(
        present, plan, fence, gone=gone, ending=ending, new_ids=(f"new-{number}" for number in numbers)
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
        lambda: anchors.remove(PRESENT, DEPLOYMENT, fence, gone=NONE, now=NOW),
    ):
        with pytest.raises(Fenced) as fenced:
            refused()
        assert fenced.value.by == PRESENT.fence


def test_a_removal_tells_all_to_end_and_stays_as_a_tombstone():
    tombstone = anchors.remove(PRESENT, DEPLOYMENT, Position(9, "log", "h9"), gone=frozenset({"b"}), now=NOW)
    assert (shown(tombstone), tombstone.fence.sequence) == ([("a", "run", True)], 9)
    assert not anchors.is_expired(tombstone, NOW + TOMBSTONE_FOR - timedelta(seconds=1))
    assert anchors.is_expired(tombstone, NOW + TOMBSTONE_FOR)
    assert not anchors.is_expired(PRESENT, NOW + 100 * TOMBSTONE_FOR)
    with pytest.raises(Fenced):
        admitted(tombstone, workload(run_of(1)), fence=Position(8, "log", "h8"))
    again = admitted(tombstone, workload(run_of(1)), fence=Position(10, "log", "h10"))
    assert (shown(again), again.removed_at) == ([("a", "run", True), ("new-0", "run", False)], None)


def test_removing_what_never_was_remembers_that():
    tombstone = anchors.remove(None, DEPLOYMENT, 9, gone=NONE, now=NOW)
    with pytest.raises(Fenced):
        admitted(tombstone, workload(run_of(1)), fence=8)


@pytest.mark.parametrize(
    "anchor",
    [
        PRESENT,
        replace(PRESENT, replicas=(replace(A, is_stopping=True), B), removed_at=NOW),
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
    data["plan.json"] = data["plan.json"].replace('"version":1', '"version":2,"later":{}')
    assert anchors.from_data("d-x", data | {"later": "x"}) == PRESENT


def test_a_plan_that_does_not_fit_into_an_anchor_is_refused():
    admitted(None, workload(run_of(5_000, run_id="r" * 32, spec_id="s" * 32)))
    with pytest.raises(CannotApply, match=rf"takes \d+ bytes; allowed: at most {MOST_BYTES}.*12000 replicas"):
        admitted(None, workload(run_of(12_000, run_id="r" * 32, spec_id="s" * 32)))
