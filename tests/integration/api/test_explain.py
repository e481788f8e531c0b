"""Why a deployment has as many replicas as it has, and what was decided about it, now and in the past."""

from datetime import UTC, datetime

import pytest

from libs.common.autoscaling.present import Present
from libs.common.errors import LogUnavailable
from libs.common.events.rollout import SpecHealthy
from libs.common.events.scaling import LimitedTo, MetricName, MetricOutcome, ReplicasDecided, StabilisedTo
from libs.common.scaling.cause import Cause as Why
from libs.common.scaling.conditions import Reason
from libs.common.scaling.proposals import Unknown
from libs.common.spec.model import Autoscaling
from tests.support.deployments import Storyteller
from tests.support.rest import RunningApi, a_config

ONE, TWO = "1" * 32, "2" * 32
BY_CPU = {"maxReplicas": 5, "metrics": [{"metric": "cpu", "summary": "average", "value": 50}]}
CPU = MetricOutcome(
    metric=MetricName.CPU,
    target=50,
    value=84,
    ratio=1.68,
    proposal=6,
    counted_ratio=1.68,
    counted=3,
    ready=3,
)
ARITHMETIC = "cpu 84 % of 50 → 3 × 84/50 = 5.04 → 6; ceiling 5 → 5"
UP = {
    "metrics": (CPU,),
    "winner": MetricName.CPU,
    "stabilised": StabilisedTo(replicas=6, reason=Reason.READY_FOR_NEW_SCALE),
    "limited": LimitedTo(replicas=5, reason=Reason.TOO_MANY_REPLICAS),
}


async def submitted(api: RunningApi, **changes) -> tuple[str, Storyteller, str]:
    """Id, its services, and the id of its spec."""
    deployment_id = await api.submit(a_config(autoscaling={**BY_CPU, **changes}))
    spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    return deployment_id, Storyteller(api.api.log, deployment_id), spec["id"]


def decided(spec_id: str, replicas: int = 5, before: int = 3, **more) -> ReplicasDecided:
    return ReplicasDecided(
        spec_id=spec_id,
        stretch_id=spec_id,
        from_replicas=before,
        to_replicas=replicas,
        floor=1,
        policy=Autoscaling.model_validate(BY_CPU),
        **{"reason": Why.METRIC_ABOVE_TARGET, **UP, **more},
    )


async def explain(api: RunningApi, deployment_id: str, **params) -> dict:
    return await api.get(f"/v1/deployments/{deployment_id}/explain", **params)


async def test_bounds_number_arithmetic_and_what_is_waited_for(api: RunningApi):
    deployment_id, story, spec_id = await submitted(api)
    before = await api.api.log.last_sequence()
    await story.ready(ONE, "127.0.0.1:1")
    await story.starting(TWO, None)
    await story.tell(decided(spec_id))
    found = await explain(api, deployment_id)
    assert (found["replicas"], found["why"]) == (5, "5 was decided")
    assert found["bounds"] == {"minimum": 1, "maximum": 5}
    assert found["policy"]["metrics"][0]["value"] == 50
    assert [one["sentence"] for one in found["decisions"]] == [ARITHMETIC]
    assert found["reasoning"] is None

    then = await explain(api, deployment_id, at=before)
    assert (then["replicas"], then["decisions"], then["at"]["sequence"]) == (1, [], before)
    assert then["why"] == "1 is the floor, and nothing was decided since autoscaling is on"
    assert then["reasoning"] is None


async def test_a_past_moment_has_the_reasoning_of_the_newest_decision_then_and_says_so(api: RunningApi):
    deployment_id, story, spec_id = await submitted(api)
    memory = MetricOutcome(metric=MetricName.MEMORY, target=50, unknown=Unknown.NO_SAMPLES)
    await story.tell(decided(spec_id, metrics=(CPU, memory)))
    (first,) = (await explain(api, deployment_id))["decisions"]
    await story.tell(decided(spec_id, 1, 5, metrics=(), winner=None, reason=Why.ABOVE_MAXIMUM))
    api.with_reasoning(Kept(thinking(spec_id, spec_id)))
    then = await explain(api, deployment_id, at=first["sequence"])
    reasoning = then["reasoning"]
    assert (reasoning["decision"], reasoning["at"]) == (first["sequence"], first["dtCreated"])
    assert (reasoning["sentence"], reasoning["replicas"]) == (first["sentence"], 5)
    assert reasoning["unknown"] == [{"metric": "memory", "reason": "no_samples", "since": None}]
    assert reasoning["data"]["winner"] == "cpu"
    assert (await explain(api, deployment_id))["reasoning"]["decision"] is None

    await api.submit(a_config(autoscaling={**BY_CPU, "enabled": False}))
    await api.submit(a_config(autoscaling=BY_CPU))
    again = await api.api.log.last_sequence()
    assert (await explain(api, deployment_id, at=again))["reasoning"] is None


async def test_what_keeps_wanted_replicas_from_being_ready(api: RunningApi):
    deployment_id = await api.submit(a_config(replicas=4))
    spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    ids = {"spec_id": spec["id"], "run_id": spec["runId"]}
    story = Storyteller(api.api.log, deployment_id)
    await story.ready(ONE, "127.0.0.1:1", **ids)
    await story.ready(TWO, "127.0.0.1:2", **ids)
    await story.unready(TWO)
    found = await explain(api, deployment_id)
    assert (found["ready"], found["why"], found["bounds"]) == (1, "the spec asks for 4", None)
    assert found["waiting"] == [
        {"replicas": 2, "state": "missing", "message": None},
        {"replicas": 1, "state": "unready", "message": None},
    ]


@pytest.mark.parametrize(
    ("config", "replicas", "why"),
    [
        ({"autoscaling": {**BY_CPU, "enabled": False}}, 1, "the spec asks for 1, and its autoscaling is off"),
        ({"autoscaling": BY_CPU, "replicas": 0}, 0, "the spec asks for 0, which stops it whatever the load"),
        ({"replicas": 2}, 2, "the spec asks for 2"),
    ],
)
async def test_where_load_does_not_move_it(api: RunningApi, config: dict, replicas: int, why: str):
    deployment_id, story, spec_id = await submitted(api)
    await story.tell(decided(spec_id))
    await api.submit(a_config(**config))
    found = await explain(api, deployment_id)
    assert (found["replicas"], found["why"]) == (replicas, why)
    assert (found["bounds"], found["policy"]) == (None, None)


async def test_a_late_decision_is_told_with_what_became_of_it(api: RunningApi):
    deployment_id, story, spec_id = await submitted(api, maxReplicas=3)
    await story.tell(decided(spec_id))
    found = await explain(api, deployment_id)
    assert (found["replicas"], found["why"]) == (3, "5 was decided, and 3 is the ceiling now")


class Kept:
    def __init__(self, present: Present | None) -> None:
        self.kept = present

    async def present(self, deployment_id: str) -> Present | None:
        assert len(deployment_id) == 32
        if self.kept is None:
            raise LogUnavailable("away")
        return self.kept


def thinking(spec_id: str, stretch_id: str) -> Present:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Present(
        spec_id=spec_id,
        stretch_id=stretch_id,
        at=at,
        current=5,
        replicas=5,
        reason=Why.UNCHANGED,
        held_until=at,
        unknown={"memory": "no_samples"},
        unknown_since={"memory": at},
        **UP,
    )


async def test_the_present_reasoning_where_the_autoscaler_keeps_one(api: RunningApi):
    deployment_id, story, spec_id = await submitted(api)
    await story.tell(decided(spec_id))
    for present, is_shown in (
        (thinking(spec_id, spec_id), True),
        (thinking("f" * 32, spec_id), False),
        (thinking(spec_id, "f" * 32), False),
        (None, False),
    ):
        api.with_reasoning(Kept(present))
        reasoning = (await explain(api, deployment_id))["reasoning"]
        assert (reasoning is not None) is is_shown
        if reasoning:
            assert reasoning["sentence"] == ARITHMETIC
            (unknown,) = reasoning["unknown"]
            assert (unknown["metric"], unknown["reason"]) == ("memory", "no_samples")
            assert reasoning["heldUntil"] == unknown["since"] == "2026-01-01T00:00:00.000000Z"


async def test_decisions_of_every_kind_by_pages_newest_first(api: RunningApi):
    deployment_id, story, spec_id = await submitted(api)
    run_id = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["runId"]
    await story.apply(spec_id=spec_id, run_id=run_id)
    await story.starting(ONE, None)
    await story.ready(ONE, "127.0.0.1:1", spec_id=spec_id, run_id=run_id)
    await story.tell(SpecHealthy(spec_id=spec_id, run_id=run_id, replicas=1))
    await story.tell(decided(spec_id))
    await story.retire(ONE)
    await story.stopped(ONE)
    path = f"/v1/deployments/{deployment_id}/decisions"
    every = (await api.get(path))["items"]
    assert [(one["kind"], one["type"]) for one in every] == [
        ("verdict", "ReplicaStopped"),
        ("rollout", "ReplicasRetiring"),
        ("scaling", "ReplicasDecided"),
        ("rollout", "SpecHealthy"),
        ("verdict", "ReplicaBecameReady"),
        ("verdict", "ReplicaStarted"),
        ("rollout", "SpecApplied"),
        ("spec", "SpecRegistered"),
        ("spec", "DeploymentCreated"),
    ]
    ended, leaving, scaled, _, _, started, _, asked, _ = every
    assert leaving["sentence"] == "1 replica is to leave: superseded"
    assert (scaled["sentence"], scaled["data"]["to_replicas"]) == (ARITHMETIC, 5)
    assert (started["sentence"], started["data"]["state"]) == (f"replica {ONE} is started", "starting")
    assert ended["sentence"].startswith(f"replica {ONE} has ended: ")
    assert {"replica", "roster", "spec"}.isdisjoint({*started["data"], *ended["data"], *asked["data"]})
    for kind in ("scaling", "rollout", "verdict", "spec"):
        found = (await api.get(path, kind=kind))["items"]
        assert found == [one for one in every if one["kind"] == kind]
    first = await api.get(path, limit=3)
    rest = await api.get(path, limit=120, after=first["nextPage"])
    assert first["items"] + rest["items"] == every
    assert (await api.get("/v1/log/verify"))["ok"]


async def test_of_a_deleted_deployment_they_stay_readable(api: RunningApi):
    deployment_id, story, spec_id = await submitted(api)
    await story.tell(decided(spec_id))
    before = await api.api.log.last_sequence()
    await story.delete()
    await story.removed()
    then = await explain(api, deployment_id, at=before)
    assert (then["replicas"], then["why"]) == (5, "5 was decided")
    now = await explain(api, deployment_id)
    assert (now["replicas"], now["why"], now["waiting"]) == (0, "the deployment is deleted", [])
    items = (await api.get(f"/v1/deployments/{deployment_id}/decisions"))["items"]
    assert [one["sentence"] for one in items[:2]] == ["nothing is left on the cluster", "deleted"]


@pytest.mark.parametrize(
    ("path", "params", "wrong", "allowed"),
    [
        ("decisions", {"kind": "scale"}, "kind", ["scaling", "rollout", "verdict", "spec"]),
        ("decisions", {"after": "x"}, "after", "the `nextPage` of a page before"),
        ("decisions", {"limit": 0}, "limit", "a whole number from 1 to 120"),
        ("decisions", {"at": "1"}, "at", ["after", "kind", "limit", "order", "orderBy"]),
        ("explain", {"at": "yesterday"}, "at", "an RFC 3339 time or a sequence"),
        ("explain", {"kind": "scaling"}, "kind", ["at"]),
        ("metrics", {"metric": "cpu", "timeframe": "day", "step": "1m"}, "step", ["metric", "timeframe"]),
        ("diff", {"from": "a"}, "to", "A spec id."),
    ],
)
async def test_bad_input_is_named(api: RunningApi, path: str, params: dict, wrong: str, allowed):
    deployment_id, _, _ = await submitted(api)
    answer = await api.http.get(f"/v1/deployments/{deployment_id}/{path}", params=params)
    assert answer.status_code == 400
    (issue,) = answer.json()["issues"]
    assert (issue["path"], issue["allowed"]) == ([wrong], allowed)


@pytest.mark.parametrize("path", ["decisions", "explain", "explain?at=1"])
async def test_of_an_unknown_deployment_there_is_nothing(api: RunningApi, path: str):
    await submitted(api)
    assert await api.status("GET", f"/v1/deployments/{'f' * 32}/{path}") == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["", "/explain"])
async def test_a_deployment_that_was_not_there_yet(api: RunningApi, path: str):
    await submitted(api)
    before = await api.api.log.last_sequence()
    second = await api.submit(a_config("other"))
    found = await api.get(f"/v1/deployments/{second}")
    created = (await api.get("/v1/events", deploymentId=second, type="DeploymentCreated"))["items"][0]
    answer = await api.http.get(f"/v1/deployments/{second}{path}", params={"at": before})
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert answer.json()["issues"] == [
        {
            "path": ["at"],
            "message": "the deployment did not exist then",
            "value": str(before),
            "allowed": f"from {found['dtCreated']} (event {created['sequence']}) on",
        }
    ]
