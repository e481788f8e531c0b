"""The past can be read: specs, differences, states at an instant, events, and what replicas wrote.

Every event has its cause (promise 8).
"""

import asyncio
import json

from tests.support.live_platform import LivePlatform, hello
from tests.support.plain_http import plain_client
from tests.support.polling import PATIENCE_S, eventually


async def test_every_spec_is_in_the_history_newest_first(shared_platform):
    deployment_id = await shared_platform.deploy(hello("storied", VERSION="1"))
    await shared_platform.deploy(hello("storied", VERSION="2"))
    specs = (await shared_platform.get(f"/deployments/{deployment_id}/history"))["items"]
    versions = [next(v["value"] for v in spec["data"]["env"] if v["name"] == "VERSION") for spec in specs]
    assert versions == ["2", "1"]
    assert all(spec["externalApplied"] and spec["dtHealthy"] for spec in specs)
    assert specs[0]["id"] == (await shared_platform.spec(deployment_id))["id"]
    between = {"from": specs[1]["id"], "to": specs[0]["id"]}
    (difference,) = await shared_platform.get(f"/deployments/{deployment_id}/diff", **between)
    assert (difference["from"], difference["to"]) == ("1", "2")


async def test_a_state_of_the_past_is_shown_at_its_sequence_and_its_time(shared_platform):
    deployment_id = await shared_platform.deploy(hello("then", VERSION="1"))
    first = await shared_platform.get(f"/deployments/{deployment_id}")
    events = await shared_platform.events(deployment_id)
    await shared_platform.deploy(hello("then", VERSION="2"))
    await shared_platform.delete(deployment_id)
    for at in (str(events[-1]["sequence"]), events[-1]["time"]):
        then = await shared_platform.get(f"/deployments/{deployment_id}", at=at)
        assert then["latestSpec"]["id"] == first["latestSpec"]["id"]
        assert (then["latestSpec"]["data"], then["status"]) == (first["latestSpec"]["data"], "ready")


async def test_events_are_read_by_pages_and_followed_without_gap_or_repeat(shared_platform):
    deployment_id = await shared_platform.deploy(hello("followed"))
    so_far = await shared_platform.events(deployment_id)
    assert [e["sequence"] for e in so_far] == sorted(e["sequence"] for e in so_far)
    last_tokens = [e["subject"].rpartition(".")[2] for e in so_far]
    assert [token.partition("-")[0] for token in last_tokens] == [e["type"] for e in so_far]
    for event in so_far:
        if event["type"] != "DeploymentCreated":
            assert event["actor"]
    following = asyncio.create_task(_follow(shared_platform, deployment_id, after=so_far[2]["sequence"]))
    try:
        await shared_platform.deploy(hello("followed", VERSION="2"))
        await shared_platform.delete(deployment_id)
        streamed = await asyncio.wait_for(following, PATIENCE_S)
    finally:
        following.cancel()
    everything = await shared_platform.events(deployment_id)
    assert streamed == [e for e in everything if e["sequence"] > so_far[2]["sequence"]]


async def _follow(platform: LivePlatform, deployment_id: str, *, after: int) -> list[dict]:
    """Events until the deployment is removed; hangs up after each third one and takes up by its id."""
    found: list[dict] = []
    last = after
    async with plain_client(headers=platform.http.headers) as http:
        while True:
            headers = {"accept": "text/event-stream", "last-event-id": str(last)}
            count = 0
            async with http.stream(
                "GET",
                f"{platform.http.base_url}events",
                params={"deploymentId": deployment_id},
                headers=headers,
            ) as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("id: "):
                        last = int(line.removeprefix("id: "))
                    if line.startswith("data: "):
                        found.append(json.loads(line.removeprefix("data: ")))
                        assert found[-1]["sequence"] == last
                        if found[-1]["type"] == "WorkloadRemoved":
                            return found
                        count += 1
                        if count == 3:
                            break


async def test_the_last_words_of_a_dead_replica_are_in_the_logs(shared_platform):
    deployment_id = await shared_platform.deploy(hello("talks"))
    (dead,) = await shared_platform.replica_pids(deployment_id)
    await shared_platform.deploy(hello("talks", VERSION="2"))
    assert dead not in await shared_platform.replica_pids(deployment_id)

    async def has_said() -> bool:
        lines = (await shared_platform.get(f"/deployments/{deployment_id}/logs", limit=120, order="asc"))[
            "items"
        ]
        assert lines == sorted(lines, key=lambda line: line["dtCreated"])
        return [line["message"] for line in lines if line["instanceId"] == dead][-1:] == [
            "hello has finished"
        ]

    await eventually(has_said, because="its last words are not there")
    only = await shared_platform.get(f"/deployments/{deployment_id}/logs", instanceId=dead)
    assert {line["instanceId"] for line in only["items"]} == {dead}


async def test_every_decision_names_its_cause(shared_platform):
    deployment_id = await shared_platform.deploy(hello("caused"))
    events = await shared_platform.events(deployment_id)
    ids = {event["id"] for event in events}
    requested = next(e for e in events if e["type"] == "SpecRegistered")
    rest = [e for e in events if e["sequence"] > requested["sequence"]]
    assert all(e["causationId"] in ids for e in rest if e["actor"] != "service:health"), rest
    assert {e["correlationId"] for e in rest if e["actor"] == "service:reconciler"} == {
        requested["correlationId"]
    }
