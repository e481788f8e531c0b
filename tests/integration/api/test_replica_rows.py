"""The replicas that the API shows: one row for each, whatever the version of the facts."""

import sqlite3

from sqlalchemy import Connection, Engine, event

from tests.support import earlier_facts
from tests.support.deployments import Storyteller, a_replica
from tests.support.earlier_facts import earlier
from tests.support.rest import RunningApi, a_config

ONE, TWO = "1" * 32, "2" * 32


async def test_a_change_of_one_replica_touches_only_its_row(api: RunningApi):
    """Whatever the number of the others: their rows are neither read nor written."""
    deployment_id = await api.submit(a_config())
    story = Storyteller(api.api.log, deployment_id)
    ids = [f"{number:032x}" for number in range(100)]
    for replica_id in ids:
        await story.starting(replica_id, "127.0.0.1:1")
    run = (await api.get(f"/v1/deployments/{deployment_id}/runs"))[-1]
    assert [i["id"] for i in run["instances"]] == ids
    statements: list[str] = []

    def note(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):  # the writer's: nobody reads meanwhile
            driver.set_trace_callback(statements.append)

    event.listen(Engine, "engine_connect", note)
    await story.ready(ids[50], "127.0.0.1:1")
    await story.stopped(ids[0])
    await api.api.projector.catch_up()
    event.remove(Engine, "engine_connect", note)
    about = [statement for statement in statements if "instances" in statement]
    assert len(about) == 3, "read and written once, and deleted once"
    assert all("instances.id = '" in statement or "INSERT" in statement for statement in about)
    run = (await api.get(f"/v1/deployments/{deployment_id}/runs"))[-1]
    assert [i["id"] for i in run["instances"]] == ids[1:]
    assert [i["id"] for i in run["instances"] if i["state"] == "running"] == [ids[50]]


async def test_the_replicas_of_a_history_of_version_1_are_shown_and_go_on(api: RunningApi):
    deployment_id = await api.submit(a_config(replicas=2))
    spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    story = Storyteller(api.api.log, deployment_id)
    lines = [a_replica(i, "127.0.0.1:1", spec_id=spec["id"], run_id=spec["runId"]) for i in (ONE, TWO)]
    await story.tell(earlier(earlier_facts.ReplicaStarted, ONE, lines[:1]))
    await story.tell(earlier(earlier_facts.ReplicaBecameReady, TWO, lines))
    (run,) = await api.get(f"/v1/deployments/{deployment_id}/runs")
    assert [(i["id"], i["state"]) for i in run["instances"]] == [(ONE, "running"), (TWO, "running")]
    view = await story.view()
    assert view is not None
    story.roster = view.roster
    await story.unready(TWO)
    (run,) = await api.get(f"/v1/deployments/{deployment_id}/runs")
    assert [(i["id"], i["state"]) for i in run["instances"]] == [(ONE, "running"), (TWO, "unready")]
    now = await api.get(f"/v1/deployments/{deployment_id}")
    then = await api.get(f"/v1/deployments/{deployment_id}", at=await api.api.log.last_sequence())
    assert {name: value for name, value in then.items() if name != "at"} == now
    assert (await api.get("/v1/log/verify"))["ok"]


async def test_events_that_hold_a_page_are_found_by_their_type(api: RunningApi):
    deployment_id = await api.submit(a_config(replicas=20))
    story = Storyteller(api.api.log, deployment_id)
    for number in range(17):
        await story.starting(f"{number:032x}", None)
    found = await api.get("/v1/events", type="RosterRecorded", deploymentId=deployment_id, limit=16)
    assert {item["type"] for item in found["items"]} == {"RosterRecorded"}
    rest = await api.get("/v1/events", type="RosterRecorded", after=found["nextPage"])
    (last,) = rest["items"]
    assert last["subject"] == f"events.default.replica.{deployment_id}.RosterRecorded-1"
    assert (last["data"]["page"], last["data"]["pages"], len(last["data"]["replicas"])) == (1, 2, 1)
