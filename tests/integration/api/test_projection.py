"""What the facts of other services become in the answers; and that the read models are disposable."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from libs.common.events.replica import ReplicaReason, ReplicaState, ReplicaStopped
from libs.common.events.rollout import SpecFailed, SpecFailedReason, SpecHealthy
from libs.common.log.head import LogHead
from libs.common.log.memory import MemoryLog
from services.api.readmodels.database import read_checkpoint
from tests.support.deployments import Storyteller, a_replica
from tests.support.polling import eventually
from tests.support.rest import RunningApi, a_config, running_api

ONE, TWO = "1" * 32, "2" * 32


async def told(api: RunningApi, deployment_id: str) -> Storyteller:
    return Storyteller(api.api.log, deployment_id)


async def test_a_rollout_shows_in_spec_runs_and_status(api: RunningApi):
    deployment_id = await api.submit(a_config(replicas=2))
    story = await told(api, deployment_id)
    spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    ids = {"spec_id": spec["id"], "run_id": spec["runId"]}
    await story.apply(**ids)
    await story.ready(ONE, "127.0.0.1:1", **ids)
    deployment = await api.get(f"/v1/deployments/{deployment_id}")
    assert deployment["latestSpec"]["externalApplied"]
    assert (deployment["latestSpec"]["dtHealthy"], deployment["status"]) == (None, "deploying")

    await story.ready(TWO, "127.0.0.1:2", **ids)
    await story.tell(SpecHealthy(**ids, replicas=2))
    deployment = await api.get(f"/v1/deployments/{deployment_id}")
    assert (bool(deployment["latestSpec"]["dtHealthy"]), deployment["status"]) == (True, "ready")
    (run,) = await api.get(f"/v1/deployments/{deployment_id}/runs")
    assert (run["id"], run["replicas"], run["readyReplicas"], run["availableReplicas"]) == (
        spec["runId"],
        2,
        2,
        0,
    )
    assert [i["id"] for i in run["instances"]] == [ONE, TWO]

    await story.retire(TWO)
    (run,) = await api.get(f"/v1/deployments/{deployment_id}/runs")
    assert [(i["state"]) for i in run["instances"]] == ["running", "stopping"]
    await story.stopped(TWO)
    (run,) = await api.get(f"/v1/deployments/{deployment_id}/runs")
    assert [i["id"] for i in run["instances"]] == [ONE]
    then = await api.get(f"/v1/deployments/{deployment_id}", at=await api.api.log.last_sequence())
    now = await api.get(f"/v1/deployments/{deployment_id}")
    assert {name: value for name, value in then.items() if name != "at"} == now


async def test_a_crashed_replica_is_failed_with_its_message_and_its_history(api: RunningApi):
    deployment_id = await api.submit(a_config())
    spec = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]
    ids = {"spec_id": spec["id"], "run_id": spec["runId"]}
    story = await told(api, deployment_id)
    await story.apply(**ids)
    await story.ready(ONE, "127.0.0.1:1", **ids)
    failed = a_replica(ONE, None, state=ReplicaState.FAILED, **ids)
    failed = failed.model_copy(update={"message": "exited with status 3"})
    reason = ReplicaReason.EXITED
    await story.change(ReplicaStopped(replica_id=ONE, replica=failed, reason=reason, message="x"))
    (run,) = await api.get(f"/v1/deployments/{deployment_id}/runs")
    (instance,) = run["instances"]
    assert (instance["state"], instance["stateMessage"]) == ("failed", "exited with status 3")
    assert instance["dtFinished"]
    assert [entry["state"] for entry in instance["history"]] == ["running", "failed"]


async def test_a_spec_that_cannot_be_applied_says_why(api: RunningApi):
    deployment_id = await api.submit(a_config())
    spec_id = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["id"]
    reason = SpecFailedReason.NO_COMMAND
    story = await told(api, deployment_id)
    await story.tell(SpecFailed(spec_id=spec_id, reason=reason, message="no command"))
    deployment = await api.get(f"/v1/deployments/{deployment_id}")
    assert (deployment["latestSpec"]["error"], deployment["status"]) == ("no command", "failed")


async def test_read_models_of_another_version_are_made_again_from_the_log(tmp_path: Path):
    log = MemoryLog()
    async with running_api(tmp_path, log) as api:
        deployment_id = await api.submit(a_config())
        before = await api.get(f"/v1/deployments/{deployment_id}")
        async with api.api.engine.begin() as connection:
            await connection.execute(text("UPDATE checkpoint SET fingerprint = 'another'"))
            await connection.execute(text("DROP TABLE specs"))
    async with running_api(tmp_path, log) as api:
        assert await api.get(f"/v1/deployments/{deployment_id}") == before
        assert (await api.get("/v1/log/verify"))["ok"]


async def test_a_broken_file_is_made_again(tmp_path: Path):
    log = MemoryLog()
    async with running_api(tmp_path, log) as api:
        await api.submit(a_config())
    (tmp_path / "api" / "read.db").write_bytes(b"not a database" * 1000)
    async with running_api(tmp_path, log) as api:
        assert len((await api.get("/v1/deployments"))["items"]) == 1


async def test_a_restart_goes_on_from_the_checkpoint(tmp_path: Path):
    log = MemoryLog()
    async with running_api(tmp_path, log) as api:
        deployment_id = await api.submit(a_config())
        async with api.api.engine.connect() as connection:
            assert await read_checkpoint(connection) == await log.last_sequence()
    await Storyteller(log, deployment_id).delete()
    async with running_api(tmp_path, log) as api:
        assert (await api.get("/v1/deployments"))["items"] == []
        assert (await api.get("/v1/log/verify"))["ok"]


async def test_verify_names_what_differs_from_a_replay(api: RunningApi):
    await api.submit(a_config())
    async with api.api.engine.begin() as connection:
        await connection.execute(text("UPDATE deployments SET name = 'forged'"))
    found = await api.get("/v1/log/verify")
    assert (found["ok"], "deployments" in found["reason"]) == (False, True)
    assert "name" in found["reason"]


@pytest.mark.parametrize("names", [[], ["b"], ["b", "c", "d"]], ids=["empty", "as long", "longer"])
async def test_with_another_log_the_read_models_are_those_of_the_log(tmp_path: Path, names: list[str]):
    async with running_api(tmp_path) as api:
        await api.submit(a_config("ghost"))
    other = MemoryLog()
    async with running_api(tmp_path / "other", other) as api:
        for name in names:
            await api.submit(a_config(name))
    async with running_api(tmp_path, other) as api:
        shown = [item["name"] for item in (await api.get("/v1/deployments"))["items"]]
        assert sorted(shown) == names
        # Changes are refused, with Retry-After, until they are made anew.
        await eventually(lambda: not api.api.projector.rebuilding)
        await api.submit(a_config("new"))
        assert (await api.get("/v1/log/verify"))["ok"]


async def test_with_a_log_that_lost_its_end_the_read_models_are_those_of_the_log(tmp_path: Path):
    async with running_api(tmp_path) as api:
        kept = await api.submit(a_config("kept"))
        restored_at = await api.api.log.last_sequence()
        await api.submit(a_config("ghost"))
        log = api.api.log
    assert isinstance(log, MemoryLog)
    restored = log.as_of(restored_at)
    async with running_api(tmp_path, restored) as api:
        assert [item["id"] for item in (await api.get("/v1/deployments"))["items"]] == [kept]
        # As many events as before, but others.
        await api.submit(a_config("other"))
    async with running_api(tmp_path, log) as api:
        shown = sorted(item["name"] for item in (await api.get("/v1/deployments"))["items"])
        assert shown == ["ghost", "kept"]


async def test_while_read_models_are_made_anew_nothing_is_appended(api: RunningApi):
    api.api.projector.rebuilding = "the log is another one"
    before = await api.api.log.last_sequence()
    body = {"config": a_config("b"), "projectId": "default"}
    answer = await api.http.post("/v1/deployments", json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "another one" in answer.json()["message"]
    assert await api.api.log.last_sequence() == before


async def test_during_an_import_nothing_is_appended_and_reads_answer(tmp_path: Path):
    async with running_api(tmp_path / "one") as api:
        await api.submit(a_config())
        events = [event async for event in api.api.archive.read_raw()]
    async with running_api(tmp_path / "two") as api:
        await api.api.archive.restore(events[:2], until=len(events))
        answer = await api.http.post(
            "/v1/deployments", json={"config": a_config("b"), "projectId": "default"}
        )
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "importing 2 of 3" in answer.json()["message"]
        assert (await api.get("/v1/deployments"))["items"] == []
        assert (await api.get("/v1/events"))["items"] == []
        assert await api.get("/v1/log/import") | {"message": ""} == {
            "state": "failed",
            "events": 3,
            "stored": 2,
            "shown": 0,
            "message": "",
        }
        verified = await api.get("/v1/log/verify")
        assert (verified["ok"], verified["sequence"]) == (False, 2)
        assert "2 of 3" in verified["reason"]
        assert await api.status("GET", "/v1/log/export") == (503, "TIMEOUT")
        await api.api.archive.restore(events[2:], until=len(events))
        assert len((await api.get("/v1/deployments"))["items"]) == 1
        assert (await api.get("/v1/log/verify"))["ok"]


async def test_an_import_that_broke_off_goes_on_when_the_api_starts(tmp_path: Path):
    async with running_api(tmp_path / "one") as api:
        await api.submit(a_config())
        export = (await api.http.get("/v1/log/export")).content
        events = [event async for event in api.api.archive.read_raw()]
    log = MemoryLog()
    await log.restore(events[:1], until=len(events))
    folder = tmp_path / "two" / "api" / "import"
    folder.mkdir(parents=True)
    *lines, head = export.splitlines(keepends=True)
    (folder / "events.ndjson").write_bytes(b"".join(lines[1:]))
    digest = json.loads(head)["head"]["digest"]
    outcome = {"state": "storing", "events": len(events), "digest": digest, "message": ""}
    (folder / "outcome.json").write_text(json.dumps(outcome))
    async with running_api(tmp_path / "two", log) as api:

        async def is_done() -> bool:
            return (await api.get("/v1/log/import"))["state"] == "done"

        await eventually(is_done)
        assert [event async for event in log.read_raw()] == events
        assert not (folder / "events.ndjson").exists()


async def test_an_export_fills_an_empty_log_with_the_same_state(tmp_path: Path):
    async with running_api(tmp_path / "one") as api:
        deployment_id = await api.submit(a_config())
        project = (await api.http.post("/v1/projects", json={"name": "team"})).json()
        export = (await api.http.get("/v1/log/export")).content
        before = await api.get(f"/v1/deployments/{deployment_id}")
        refused = await api.status("POST", "/v1/log/import", content=export)
        assert refused == (409, "CONFLICT")
        assert (await api.get("/v1/log/verify"))["ok"]
    async with running_api(tmp_path / "two") as api:
        assert await api.take_in(export) == 5
        assert await api.get(f"/v1/deployments/{deployment_id}") == before
        assert await api.get(f"/v1/projects/{project['id']}") == project
        assert (await api.get("/v1/log/verify")) == {"ok": True, "events": 5, "aggregates": 4}
        broken = await api.status("POST", "/v1/log/import", content=b"nope")
        assert broken == (409, "CONFLICT")


async def test_a_broken_export_changes_nothing(api: RunningApi):
    assert await api.status("POST", "/v1/log/import", content=b"nope\n") == (400, "BAD_REQUEST")
    assert await api.api.log.last_sequence() == 0


async def test_a_log_that_lost_what_was_exported_is_noticed(tmp_path: Path):
    async with running_api(tmp_path) as api:
        await api.submit(a_config())
        await api.http.get("/v1/log/export")
        log = api.api.log
    assert isinstance(log, MemoryLog)
    async with running_api(tmp_path, log.as_of(1)) as api:
        found = await api.get("/v1/log/verify")
        assert (found["ok"], "last export" in found["reason"]) == (False, True)
        # Whoever has restored a backup on purpose says so with a new export.
        await api.http.get("/v1/log/export")
        assert (await api.get("/v1/log/verify"))["ok"]
    async with running_api(tmp_path, MemoryLog()) as api:
        assert (await api.get("/v1/log/verify"))["ok"], "an export of another log says nothing of this one"


async def test_the_log_is_held_to_a_head_that_was_kept_elsewhere(api: RunningApi):
    await api.submit(a_config())
    export = (await api.http.get("/v1/log/export")).content
    head = LogHead.from_wire(json.loads(export.splitlines()[-1])["head"])
    await api.submit(a_config("b"))
    assert (await api.get("/v1/log/verify", head=str(head)))["ok"]
    found = await api.get("/v1/log/verify", head=str(replace(head, digest="0" * 64)))
    assert (found["ok"], found["sequence"]) == (False, head.sequence)
    assert "exported" in found["reason"]
    refused = await api.http.get("/v1/log/verify", params={"head": "nonsense"})
    assert (refused.status_code, "head: is not the head" in refused.text) == (400, True)


async def test_the_head_of_an_export_by_a_later_version_is_named(api: RunningApi):
    api.api.exported_head.write_text(json.dumps({"version": 9, "sequence": 1, "events": 1, "digest": "0"}))
    found = await api.get("/v1/log/verify")
    assert (found["ok"], "version 9" in found["reason"]) == (False, True)


async def test_what_is_committed_outlives_a_power_failure_in_part_but_never_broken(tmp_path: Path):
    """Of what a power failure takes, the newest transactions, each takes its checkpoint with it."""
    log = MemoryLog()
    database = tmp_path / "api" / "read.db"
    async with running_api(tmp_path, log) as api:
        async with api.api.engine.connect() as connection:
            assert (await connection.execute(text("PRAGMA synchronous"))).scalar_one() == 1  # NORMAL
        await api.submit(a_config())
        async with api.api.engine.begin() as connection:
            await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        early = database.read_bytes()
        deployment_id = await api.submit(a_config("b"))
        before = await api.get(f"/v1/deployments/{deployment_id}")
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    database.write_bytes(early)
    async with running_api(tmp_path, log) as api:
        assert await api.get(f"/v1/deployments/{deployment_id}") == before
        assert (await api.get("/v1/log/verify"))["ok"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param("DELETE FROM specs WHERE id = (SELECT min(id) FROM specs)", "not shown", id="missing"),
        pytest.param("UPDATE projects SET id = '0'", "a replay does not make it", id="added"),
        pytest.param("UPDATE deployments SET name = 'x' WHERE name = 'd120'", "in name", id="on a late page"),
    ],
)
async def test_verify_compares_tables_of_any_length(api: RunningApi, change: str, says: str):
    await api.http.post("/v1/projects", json={"name": "team"})
    for number in range(121):
        await api.submit(a_config(f"d{number}"))
    assert (await api.get("/v1/log/verify"))["ok"]
    async with api.api.engine.begin() as connection:
        await connection.execute(text(change))
    found = await api.get("/v1/log/verify")
    assert (found["ok"], says in found["reason"]) == (False, True), found
    assert not list(api.api.exported_head.parent.glob(".*")), "what verifying needed is gone"


async def test_an_import_whose_file_is_lost_goes_on_with_the_same_file_alone(tmp_path: Path):
    exports = []
    for name in ("one", "two"):
        async with running_api(tmp_path / name) as api:
            await api.submit(a_config(name))
            exports.append((await api.http.get("/v1/log/export")).content)
            events = [event async for event in api.api.archive.read_raw()]
    other, same = exports
    async with running_api(tmp_path / "three") as api:
        await api.api.archive.restore(events[:2], until=len(events))
        assert await api.status("POST", "/v1/log/import", content=other) == (409, "CONFLICT")
        assert (await api.get("/v1/log/import"))["state"] == "failed"
        assert await api.take_in(same) == 3
        assert [event async for event in api.api.archive.read_raw()] == events
        assert await api.status("POST", "/v1/log/import", content=same) == (409, "CONFLICT")
