"""How long replicas were there, by what the log says of them, and what that costs."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from libs.common.clock import to_rfc3339, utc_now
from libs.common.machine_types.catalogue import catalogue
from services.api.readmodels.usage import Stay, add_up
from tests.support.deployments import Storyteller
from tests.support.rest import a_config

ONE, TWO = "1" * 32, "2" * 32
LONG_AGO = "2020-01-01T00:00:00Z"


def since(**ago):
    return to_rfc3339(utc_now() - timedelta(**ago))


async def usage(api, **params):
    return await api.get("/v1/usage", **{"from": since(hours=1), **params})


async def times(api, deployment_id):
    """Of each replica's first and last fact, by the log."""
    found = {}
    async for event in api.api.log.read(f"events.*.replica.{deployment_id}.*"):
        if (replica_id := getattr(event.fact, "replica_id", None)) is not None:
            found.setdefault(replica_id, []).append(event.time)
    return found


async def test_a_replica_counts_from_its_first_fact_until_it_is_gone(api):
    deployment_id = await api.submit(a_config())
    story = Storyteller(api.api.log, deployment_id)
    spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    await story.apply(spec_id=spec["id"], run_id="run-1")
    await story.starting(ONE, "127.0.0.1:1")
    await story.starting(TWO, "127.0.0.1:2")
    await story.stopped(ONE)
    found = await usage(api)
    at = await times(api, deployment_id)
    end = datetime.fromisoformat(found["to"])
    expected = (at[ONE][-1] - at[ONE][0]) + (end - at[TWO][0])
    (item,) = found["items"]
    assert (item["deploymentId"], item["deploymentName"], item["projectId"]) == (
        deployment_id,
        "demo",
        "default",
    )
    assert item["replicaSeconds"] == pytest.approx(expected.total_seconds(), abs=0.002)
    assert (item["cost"], found["unpriced"]) == (None, ["C4"])
    assert found["total"]["replicaSeconds"] == item["replicaSeconds"]


async def test_it_belongs_to_the_spec_that_its_run_carried_out_then(api):
    deployment_id = await api.submit(a_config(replicas=1))
    first = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    story = Storyteller(api.api.log, deployment_id)
    await story.apply(spec_id=first["id"], run_id=first["runId"])
    await story.ready(ONE, "127.0.0.1:1", run_id=first["runId"], spec_id=first["id"])
    await api.submit(a_config(replicas=2))
    second = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    assert second["runId"] == first["runId"]
    await story.apply(spec_id=second["id"], run_id=second["runId"])
    # Made by the first, as an older plan may, in a run that carries out the second.
    await story.ready(TWO, "127.0.0.1:2", run_id=first["runId"], spec_id=first["id"])
    found = await usage(api, groupBy="spec")
    by_spec = {item["specId"]: item for item in found["items"]}
    assert by_spec.keys() == {first["id"], second["id"]}
    assert {item["machineType"] for item in found["items"]} == {"C4"}
    applied = [
        event.time async for event in api.api.log.read(f"events.*.rollout.{deployment_id}.SpecApplied")
    ]
    at = await times(api, deployment_id)
    assert by_spec[first["id"]]["replicaSeconds"] == pytest.approx(
        (applied[-1] - at[ONE][0]).total_seconds(), abs=0.002
    )


@pytest.mark.parametrize(
    ("group_by", "keys"),
    [
        ("deployment", {"deploymentId", "deploymentName", "projectId"}),
        ("spec", {"deploymentId", "deploymentName", "projectId", "specId", "machineType"}),
        ("project", {"projectId"}),
        ("machineType", {"machineType"}),
    ],
)
async def test_each_group_names_what_it_is_of(api, group_by, keys):
    deployment_id = await api.submit(a_config())
    await Storyteller(api.api.log, deployment_id).starting(ONE, None)
    found = await usage(api, groupBy=group_by)
    assert found["groupBy"] == group_by
    (item,) = found["items"]
    assert item.keys() == keys | {"replicaSeconds", "cost"}


async def test_a_deleted_deployment_has_its_usage(api):
    deployment_id = await api.submit(a_config())
    story = Storyteller(api.api.log, deployment_id)
    await story.starting(ONE, None)
    await story.stopped(ONE)
    await api.http.delete(f"/v1/deployments/{deployment_id}")
    (item,) = (await usage(api))["items"]
    assert item["deploymentId"] == deployment_id
    assert (await usage(api, deploymentId=deployment_id))["items"] == [item]


async def test_only_what_lies_between_the_times_counts(api):
    deployment_id = await api.submit(a_config())
    story = Storyteller(api.api.log, deployment_id)
    await story.starting(ONE, None)
    await story.stopped(ONE)
    past = await usage(api, **{"from": LONG_AGO, "to": "2020-01-15T00:00:00Z"})
    assert (past["items"], past["total"]) == ([], {"replicaSeconds": 0, "cost": 0})
    later = to_rfc3339(utc_now() + timedelta(hours=1))
    assert (await usage(api, to=later))["to"] < later


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "to"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, "to"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:01Z"}, "from"),
        ({"from": LONG_AGO}, "from"),
        ({"from": "2026-01-01T00:00:00Z", "to": "x"}, "to"),
        ({"from": "2026-01-01T00:00:00Z", "groupBy": "replica"}, "groupBy"),
        ({"from": "2026-01-01T00:00:00Z", "deploymentid": "x"}, "deploymentid"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_its_path(api, params, path):
    answer = await api.http.get("/v1/usage", params=params)
    assert answer.status_code == 400
    (issue,) = answer.json()["issues"]
    assert issue["path"] == [path]


async def test_what_is_shown_is_what_a_fresh_replay_makes(api):
    stories = []
    for name in ("one", "other"):
        deployment_id = await api.submit(a_config(name))
        spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
        story = Storyteller(api.api.log, deployment_id)
        stories.append(story)
        await story.apply(spec_id=spec["id"], run_id=spec["runId"])
        for number in range(3):
            await story.ready(
                f"{name:x<30}{number:02}", "127.0.0.1:1", run_id=spec["runId"], spec_id=spec["id"]
            )
    await asyncio.gather(*(story.stopped(next(iter(story.roster.by_id))) for story in stories))
    begin = since(hours=1)
    before = await usage(api, **{"from": begin, "to": since(seconds=0), "groupBy": "spec"})
    verified = await api.http.get("/v1/log/verify")
    assert verified.json()["ok"], verified.json()
    again = await usage(api, **{"from": begin, "to": before["to"], "groupBy": "spec"})
    assert again == before


def stay(machine_type="small", *, deployment="d", spec="s", begin=0.0, hours=1.0):
    start = datetime.fromisoformat("2026-03-01T00:00:00+00:00") + timedelta(hours=begin)
    return Stay(deployment, "demo", spec, "p", machine_type, start, start + timedelta(hours=hours))


TYPES, _ = catalogue(
    [
        {"name": "small", "cpus": 1, "memoryGib": 1, "pricePerHour": 2},
        {"name": "free", "cpus": 1, "memoryGib": 1, "pricePerHour": 0},
        {"name": "unknown", "cpus": 1, "memoryGib": 1},
    ]
)


def test_a_cost_is_what_each_replica_cost():
    found = add_up([stay(), stay(hours=0.5), stay("free")], "deployment", TYPES)
    assert [(used.replica_seconds, used.cost) for used in found.groups] == [(9000.0, 3.0)]
    assert (found.total.cost, found.unpriced) == (3.0, ())


def test_without_a_price_the_cost_is_not_known_and_never_0():
    found = add_up(
        [stay(), stay("unknown", deployment="e"), stay("gone", deployment="f")], "deployment", TYPES
    )
    costs = Counter({used.deployment_id: used.cost for used in found.groups})
    assert costs == {"d": 2.0, "e": None, "f": None}
    assert (found.total.cost, found.unpriced) == (None, ("gone", "unknown"))
    assert found.total.replica_seconds == 3 * 3600


def test_the_largest_group_comes_first():
    found = add_up([stay(spec="a"), stay(spec="b", hours=5), stay(spec="c")], "spec", TYPES)
    assert [used.spec_id for used in found.groups] == ["b", "a", "c"]
