"""Runs, instances and the status of a deployment as the API shows them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from libs.common.bus.checks import CheckSignal, ExitSignal, ReplicaSignal
from libs.common.scaling.in_force import Decided
from services.api.edge.schemas.deployment import InstanceAnswer
from services.api.readmodels.records import (
    DeploymentRecord,
    InstanceRecord,
    SpecRecord,
    Status,
    make_runs,
    status,
)

T = "2026-01-31T12:00:00.000000Z"


def spec(
    *, replicas: int = 2, enabled: bool = True, run_id: str = "new", most: int | None = None, **more
) -> SpecRecord:
    resources = {"replicas": replicas}
    if most is not None:
        resources["autoscaling"] = {"enabled": True, "maxReplicas": most}
        more["scaling_since"] = "first"
    data = {"enabled": enabled, "resources": resources}
    return SpecRecord("s", 1, "d", run_id, "key:default", data, T, **more)


def deployment(
    wanted: SpecRecord,
    *,
    runs: tuple[str, ...] = (),
    retiring: frozenset[str] = frozenset(),
    decided: Decided | None = None,
):
    return DeploymentRecord(
        "d", 1, "default", "demo", T, spec=wanted, runs=runs, retiring=retiring, decided=decided
    )


def instance(name: str, run_id: str = "new", state: str = "running") -> InstanceRecord:
    return InstanceRecord(name, run_id, state, None, T, None)


def shape(runs) -> list[tuple]:
    return [(r.run_id, r.replicas, r.ready, [(i.id, i.state) for i in r.instances]) for r in runs]


@pytest.mark.parametrize(
    ("given", "instances", "expected"),
    [
        pytest.param(
            deployment(spec()), [], [("new", 2, 0, [])], id="a wanted run shows before its replicas"
        ),
        pytest.param(deployment(spec(enabled=False), runs=("new",)), [], [], id="stopped: no runs"),
        pytest.param(deployment(spec(replicas=0), runs=("new",)), [], [], id="no replicas: no runs"),
        pytest.param(
            deployment(spec(), runs=("new", "old")),
            [instance("o1", "old"), instance("n1", state="starting")],
            [("new", 2, 0, [("n1", "starting")]), ("old", 1, 1, [("o1", "running")])],
            id="an update: the newest run first, the old one goes on",
        ),
        pytest.param(
            deployment(spec(replicas=1), runs=("new",), retiring=frozenset({"n2"})),
            [instance("n1"), instance("n2")],
            [("new", 1, 1, [("n1", "running"), ("n2", "stopping")])],
            id="a scale-down: who leaves is stopping and counts no more",
        ),
        pytest.param(
            deployment(spec(enabled=False), runs=("new",), retiring=frozenset({"n1"})),
            [instance("n1")],
            [("new", 0, 0, [("n1", "stopping")])],
            id="being stopped: shown until the last one is gone",
        ),
        pytest.param(
            deployment(spec(), runs=("new",)),
            [instance("n1", state="failed"), instance("n2", state="unready")],
            [("new", 2, 0, [("n1", "failed"), ("n2", "unready")])],
            id="failing replicas are not ready",
        ),
        pytest.param(
            deployment(spec(most=5), runs=("new",), decided=Decided(4, "first")),
            [instance("n1")],
            [("new", 4, 1, [("n1", "running")])],
            id="the number in force is what is desired",
        ),
        pytest.param(
            deployment(spec(most=5), runs=("new",), decided=Decided(4, "another stretch")),
            [instance("n1")],
            [("new", 2, 1, [("n1", "running")])],
            id="a decision of another stretch counts for nothing",
        ),
    ],
)
def test_make_runs(given, instances, expected):
    assert shape(make_runs(given, instances)) == expected


@pytest.mark.parametrize(
    ("given", "ready", "expected"),
    [
        pytest.param(spec(error="no"), 0, Status.FAILED, id="could not be applied"),
        pytest.param(spec(enabled=False, applied_at=T), 0, Status.DISABLED, id="disabled"),
        pytest.param(spec(), 0, Status.APPLYING, id="not applied yet"),
        pytest.param(spec(applied_at=T), 1, Status.DEPLOYING, id="not healthy yet"),
        pytest.param(spec(applied_at=T, healthy_at=T), 1, Status.DEGRADED, id="lost a replica"),
        pytest.param(spec(applied_at=T, healthy_at=T), 2, Status.READY, id="all ready"),
        pytest.param(spec(most=5, applied_at=T, healthy_at=T), 2, Status.READY, id="as many as the floor"),
        pytest.param(spec(most=5, applied_at=T, healthy_at=T), 1, Status.DEGRADED, id="below the floor"),
    ],
)
def test_status(given, ready, expected):
    assert status(given, ready) is expected


def test_a_stalled_rollout_is_said_of_the_wanted_run_alone():
    given = deployment(spec(stalled="1 of 2 replicas are ready"), runs=("new", "old"))
    shown = make_runs(given, [instance("o1", "old"), instance("n1")])
    assert [run.stalled for run in shown] == ["1 of 2 replicas are ready", None]


READY_CHECK = CheckSignal(
    check="readiness",
    standing="passing",
    outcome="success",
    at=datetime(2026, 1, 31, tzinfo=UTC),
    latency_s=0.5,
)


def shown(restarts: int, told: ReplicaSignal | None) -> dict:
    record = replace(instance("a"), restarts=restarts)
    return InstanceAnswer.of(record, told).model_dump(mode="json", by_alias=True)


def test_an_instance_shows_what_health_told_of_this_process():
    ended = ExitSignal(status=3, at=datetime(2026, 1, 31, tzinfo=UTC))
    told = ReplicaSignal(replica_id="a", attempt=2, last_exit=ended, checks=(READY_CHECK,))
    answer = shown(2, told)
    assert answer["restarts"] == 2
    assert answer["lastExit"] == {"status": 3, "at": "2026-01-31T00:00:00.000000Z"}
    assert answer["checks"] == [
        {
            "check": "readiness",
            "standing": "passing",
            "failures": 0,
            "outcome": "success",
            "dtChecked": "2026-01-31T00:00:00.000000Z",
            "latencySeconds": 0.5,
        }
    ]


@pytest.mark.parametrize(
    "told",
    [
        None,
        ReplicaSignal(replica_id="a", attempt=1, last_exit=ExitSignal(status=3), checks=(READY_CHECK,)),
        ReplicaSignal(replica_id="a", attempt=2),
    ],
    ids=["nothing told", "told of an earlier process", "nothing to tell"],
)
def test_what_is_not_known_is_absent(told):
    answer = shown(2, told)
    assert answer["restarts"] == 2
    assert not {"lastExit", "checks"} & answer.keys()


def test_what_is_not_known_of_a_check_or_an_end_is_absent():
    told = ReplicaSignal(
        replica_id="a",
        attempt=2,
        last_exit=ExitSignal(),
        checks=(CheckSignal(check="liveness", standing="unknown"),),
    )
    answer = shown(2, told)
    assert answer["lastExit"] == {}
    assert answer["checks"] == [{"check": "liveness", "standing": "unknown", "failures": 0}]
