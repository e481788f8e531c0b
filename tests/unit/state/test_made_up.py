"""Facts that somebody made up: what no reader could show, count or write anew is not understood.

Nobody who is refused here has to be looked for in every service.
"""

import json
import math

import pytest

from libs.common.events.replica import MOST, ReplicaStarted
from libs.common.log import wire
from libs.common.spec.bounds import MAX_PORTS, MAX_REPLICAS
from libs.common.state import replica as rosters
from libs.common.state.aggregates import followed_by
from libs.common.state.router import ALONE, joined, joined_by
from libs.common.state.view import Views, fold
from tests.support.made_up import chained, made_up

DEPLOYMENT = "a" * 32
REPLICA = {
    "replica_id": "b" * 32,
    "run_id": "c" * 32,
    "spec_id": "d" * 32,
    "state": "running",
    "created_at": "2026-01-01T00:00:00Z",
}
SPEC = {"name": "x", "image": "x", "resources": {"machineType": "C4", "ports": [80], "replicas": 1}}

ODD_IDS = ("", "a\r\nx-forged: b", "a\n", "\0", "é", "x" * 64, "..", "-x", "x.")
"""What would end the header of an answer, leads out of a directory, or is no value of a label."""
COUNTS = ("slot", "attempt", "must_stay_ready_s")
CPU = {"metric": "cpu", "value": 50}
RATE = {"type": "Pods", "value": 1, "periodSeconds": 15}


def read(*events):
    return [
        wire.to_recorded(e.sequence, e.time, e.subject, e.headers, e.data)
        for e in chained(made_up(f"events.default.{subject}", data) for subject, data in events)
    ]


def roster(**changes):
    page = {"page": 0, "pages": 1, "replicas": [{**REPLICA, **changes}]}
    return f"replica.{DEPLOYMENT}.RosterRecorded-0", page


def spec(**resources):
    changed = {**SPEC, "resources": {**SPEC["resources"], **resources}}
    return f"deployment.{DEPLOYMENT}.SpecRegistered", {"spec_id": "s", "run_id": "r", "spec": changed}


def checked(**changes):
    changed = {**SPEC, "healthChecks": {"readiness": {"path": "/", **changes}}}
    return f"deployment.{DEPLOYMENT}.SpecRegistered", {"spec_id": "s", "run_id": "r", "spec": changed}


def with_variable(name):
    changed = {**SPEC, "env": [{"name": name, "value": "e" * 32}]}
    return f"deployment.{DEPLOYMENT}.SpecRegistered", {"spec_id": "s", "run_id": "r", "spec": changed}


def told(**changes):
    event_type, content = spec()
    return event_type, {**content, **changes}


def scaled(**changes):
    return spec(autoscaling={"maxReplicas": 3, "metrics": [CPU], **changes})


def progress(since):
    numbers = {"replicas": 1, "ready_replicas": 0, "leaving_replicas": 0}
    data = {"spec_id": "s", "run_id": "r", "phase": "retiring", "since": since, **numbers}
    return f"rollout.{DEPLOYMENT}.RolloutProgressed", data


@pytest.mark.parametrize(
    "event",
    [
        *(
            roster(**{field: moment})
            for field in ("created_at", "started_at", "ready_at", "full_until")
            for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
        ),
        roster(changed_at=["0001-01-01T00:00:00+14:00"]),
        progress("0001-01-01T00:00:00+14:00"),
        *(roster(**{field: number}) for field in COUNTS for number in (-1, MOST + 1)),
        *(spec(replicas=number) for number in (-1, MAX_REPLICAS + 1, 2**63)),
        *(spec(ports=[80, number]) for number in (-1, 0, 65536)),
        spec(ports=[*range(1, MAX_PORTS + 2)]),
        *(with_variable(name) for name in ("PORT", "PORT_80", "SPECSTREAM_REPLICA_ID", "SPECSTREAM_\n")),
        checked(port=81),
        *(
            checked(**{field: number})
            for field in ("periodSeconds", "timeoutSeconds", "failureThreshold", "port")
            for number in (-1, 0, 2**31)
        ),
        *(roster(**{field: odd}) for field in ("replica_id", "run_id", "spec_id") for odd in ODD_IDS),
        *(told(spec_id=odd) for odd in ODD_IDS),
        *(told(run_id=odd) for odd in ODD_IDS),
        checked(path=None),
        checked(exec={"command": ["true"]}),
        *(
            checked(path=None, exec={"command": ["true"]}, **{field: value})
            for field, value in (("host", "x"), ("port", 80), ("headers", [{"name": "a", "value": "b"}]))
        ),
        checked(initialDelaySeconds=-1),
        checked(initialDelaySeconds=2**31),
        *(
            spec(autoscaling={"concurrency": {}, **block})
            for block in (
                {},
                *({"maxReplicas": number} for number in (-1, 0, MAX_REPLICAS + 1)),
                *({"maxReplicas": 3, "concurrency": {"target": number}} for number in (0, 2**31)),
                {"maxReplicas": 3, "concurrency": {"windowSeconds": 9}},
                {"maxReplicas": 3, "concurrency": {"maxScaleDownRatePercent": 51}},
            )
        ),
        *(
            scaled(metrics=metrics)
            for metrics in (
                [],
                [CPU, CPU],
                [{"metric": "x", "value": 50}],
                *([{"metric": "cpu", "value": number}] for number in (0, 1e-4, math.inf, math.nan)),
            )
        ),
        *(
            scaled(behavior={"scaleUp": direction})
            for direction in (
                {"stabilizationWindowSeconds": -1},
                {"stabilizationWindowSeconds": 3601},
                {"selectPolicy": "x"},
                {"tolerance": math.nan},
                {"policies": []},
                *({"policies": [{**RATE, **change}]} for change in ({"type": "x"}, {"value": 0})),
                *({"policies": [{**RATE, "periodSeconds": number}]} for number in (0, 1801)),
            )
        ),
    ],
    ids=json.dumps,
)
def test_what_is_out_of_all_bounds_is_not_understood(event):
    (recorded,) = read(event)
    assert recorded.fact is None
    assert "its payload cannot be read" in recorded.unknown


@pytest.mark.parametrize(
    "kind", ["nothing", "name", "project", "rollout", "replica", "traffic", "router", "scaling"]
)
def test_a_fact_belongs_to_its_own_kind_alone(kind):
    """Whoever goes by its type would believe it of anything, also of an id that nobody has made."""
    (event,) = read((f"{kind}.{DEPLOYMENT}.DeploymentDeleted", {"name": "x"}))
    assert event.fact is None
    assert event.unknown == f"its type contradicts its subject: it is of a deployment, not {kind}"


def test_a_router_that_joined_under_a_project_is_waited_for_by_nobody():
    """Nobody would ever take it out, so no replica could be stopped."""
    (event,) = read(("router.router-2.RouterJoined", {}))
    assert event.fact is not None
    assert joined_by([event]) == ALONE
    views = Views(followed_by("router"))
    views.apply(event)
    assert joined(views.apart) == ALONE


def test_times_without_a_zone_can_be_compared_with_others():
    naive = {**REPLICA, "replica_id": "e" * 32, "created_at": "2026-01-01T00:00:00"}
    page = {"page": 1, "pages": 2, "replicas": [naive]}
    view = fold(read(roster(), (f"replica.{DEPLOYMENT}.RosterRecorded-1", page)))
    assert view is not None
    assert len(view.roster.replicas) == 2


def test_the_page_of_the_last_slot_has_a_place_in_the_log():
    """What is written of it is understood, whoever chose the slot."""
    view = fold(read(roster(slot=MOST)))
    assert view is not None
    changed = view.roster.replicas[0].model_copy(update={"attempt": 1})
    pages, _ = rosters.record(view.roster, [ReplicaStarted(replica_id=changed.replica_id, replica=changed)])
    written = [
        (f"replica.{DEPLOYMENT}.RosterRecorded-{one.page}", one.model_dump(mode="json")) for one in pages
    ]
    assert [one.fact for one in read(*written)] == list(pages)
