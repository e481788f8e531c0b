"""The command line as people and scripts use it: `bin/specstream`, tables, JSON, exit statuses."""

import json
import re

import pytest
import yaml

from tests.support.live_platform import hello
from tests.support.platform_process import ROOT
from tests.support.polling import eventually

NOT_FOUND, REFUSED, AUTH = 4, 5, 3


@pytest.fixture
def spec_file(tmp_path):
    """Writes a spec and gives its path."""

    def write(config: dict) -> str:
        path = tmp_path / f"{config['name']}.yaml"
        path.write_text(yaml.safe_dump(config))
        return str(path)

    return write


async def test_a_deployment_from_the_first_command_to_the_last(shared_platform, spec_file, tmp_path):
    async def run(*arguments: str) -> str:
        ended = await shared_platform.cli(*arguments)
        assert ended.returncode == 0, f"{arguments}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    async def tell(*arguments: str):
        return json.loads(await run(*arguments, "--json"))

    deployed = await tell("deploy", "-f", spec_file(hello("cli", VERSION="1")))
    deployment_id = deployed["deploymentId"]
    assert (deployed["status"], deployed["endpoint"]) == ("ready", shared_platform.endpoint(deployment_id))
    pids = await shared_platform.replica_pids(deployment_id)
    assert "cli" in await run("list")
    assert deployment_id in {found["id"] for found in await tell("list")}

    scaled = await tell("scale", "cli", "2")
    assert pids.items() <= (await shared_platform.replica_pids(deployment_id)).items()
    assert "running" in await run("get", "cli")
    (found,) = (await tell("get", "cli"))["runs"]
    assert (found["replicas"], found["readyReplicas"]) == (2, 2)

    second, first = await tell("history", "cli")
    assert (second["id"], first["id"]) == (scaled["specId"], deployed["specId"])
    assert await tell("diff", "cli", first["id"], second["id"]) == [
        {"path": "resources.replicas", "from": 1, "to": 2}
    ]
    assert "resources.replicas" in await run("diff", "cli", first["id"], second["id"])
    assert (await tell("rollback", "cli", first["id"]))["status"] == "ready"
    assert (await shared_platform.spec(deployment_id))["data"] == first["data"]
    await tell("disable", "cli")
    assert await shared_platform.runs(deployment_id) == []
    assert (await tell("enable", "cli"))["status"] == "ready"
    assert "hello listens" in await run("logs", "cli")
    events = [json.loads(line) for line in (await run("events", "-d", deployment_id, "--json")).splitlines()]
    # More may have been said since.
    assert events == (await shared_platform.events(deployment_id))[: len(events)]
    assert {"DeploymentCreated", "SpecHealthy"} <= {event["type"] for event in events}
    told = await run("events", "-d", deployment_id)
    (started, *_) = (event for event in events if event["type"] == "ReplicaStarted")
    replica = started["data"]["replica"]
    place = f"{replica['replica_id'][:12]} {replica['state']}"
    assert re.search(rf"^ *{started['sequence']} .* ReplicaStarted .* {place}$", told, re.MULTILINE)
    exported = await run("log", "export", str(tmp_path / "events.jsonl"))
    (count,) = re.findall(r"exported (\d+) events to", exported)
    assert re.search(rf"^head 2:\d+:{count}:", exported, re.MULTILINE)
    assert (await tell("delete", "cli"))["id"] == deployment_id
    assert len(await tell("history", deployment_id)) == 5
    assert "verified" in await run("log", "verify")


async def test_json_and_toml_are_read_too(shared_platform, tmp_path):
    as_json = tmp_path / "spec.json"
    as_json.write_text(json.dumps({"$schema": "ignored", **hello("cli-json")}))
    as_toml = tmp_path / "spec.toml"
    as_toml.write_text(
        'name = "cli-toml"\nimage = "specstream/hello"\ncommand = ["true"]\n'
        '[resources]\nmachineType = "C4"\nports = [8000]\nreplicas = 0\n'
    )
    for path in (as_json, as_toml):
        ended = await shared_platform.cli("deploy", "-f", str(path))
        assert ended.returncode == 0, ended.stderr


async def test_the_spec_of_the_example_is_served(shared_platform):
    ended = await shared_platform.cli(
        "deploy", "-f", str(ROOT / "examples" / "hello" / "specstream.yaml"), "--json"
    )
    assert ended.returncode == 0, ended.stderr
    async with shared_platform.calling(json.loads(ended.stdout)["deploymentId"]) as caller:
        assert (await caller.once()).json()["message"] == "hello"


async def test_a_spec_that_never_becomes_ready_fails_with_its_reason(shared_platform, spec_file):
    checks = {"readiness": {"path": "/ready", "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 1}}
    config = hello("cli-never", checks=checks, START_SECONDS="3600")
    deployment_id = await shared_platform.submit(config)

    async def has_failed_a_check() -> bool:
        instances = await shared_platform.instances(deployment_id)
        return any("readiness" in (instance["stateMessage"] or "") for instance in instances)

    await eventually(has_failed_a_check)
    ended = await shared_platform.cli("deploy", "-f", spec_file(config), "--timeout", "2")
    assert ended.returncode == 1
    assert "not done after 2 s" in ended.stderr
    assert "readiness" in ended.stderr


async def test_a_spec_without_a_command_is_refused_with_its_reason(shared_platform, spec_file):
    config = hello("cli-imageless")
    del config["command"]
    ended = await shared_platform.cli("deploy", "-f", spec_file(config))
    assert ended.returncode == REFUSED
    assert "command" in ended.stderr
    assert "container runtime" in ended.stderr


async def test_every_mistake_of_a_spec_is_told(shared_platform, spec_file):
    ended = await shared_platform.cli(
        "deploy", "-f", spec_file({**hello("cli-wrong", replicas=-1), "surprise": 1})
    )
    assert ended.returncode == REFUSED
    assert "resources.replicas" in ended.stderr
    assert "surprise" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [("get", "nobody"), ("delete", "nobody", "-y"), ("scale", "nobody", "2"), ("logs", "nobody")],
    ids=" ".join,
)
async def test_what_there_is_not_is_not_found(shared_platform, arguments):
    ended = await shared_platform.cli(*arguments)
    assert ended.returncode == NOT_FOUND
    assert ended.stderr.startswith("specstream: ")
    assert "`list` shows" in ended.stderr


async def test_a_number_that_is_refused_is_not_explained(shared_platform):
    config = hello("cli-scaled")
    config["resources"]["autoscaling"] = {"maxReplicas": 2, "concurrency": {}}
    await shared_platform.submit(config)
    refused = await shared_platform.cli("scale", "cli-scaled", "3")
    assert (refused.returncode, refused.stdout) == (REFUSED, "")
    assert "resources.autoscaling.maxReplicas: must be at least replicas (3)" in refused.stderr
    taken = await shared_platform.cli("scale", "cli-scaled", "2", "--no-wait")
    assert "2 is the fewest there are" in taken.stdout


async def test_a_wrong_key_and_a_silent_platform_have_statuses_of_their_own(shared_platform, monkeypatch):
    monkeypatch.setitem(shared_platform.environment, "SPECSTREAM_API_KEY", "wrong")
    assert (await shared_platform.cli("list")).returncode == AUTH
    monkeypatch.setitem(shared_platform.environment, "SPECSTREAM_URL", "http://127.0.0.1:9")
    silent = await shared_platform.cli("list")
    assert (silent.returncode, "is the platform up?" in silent.stderr) == (1, True)


async def test_a_project_from_its_making_to_its_end(shared_platform, spec_file):
    async def run(*arguments: str, status: int = 0) -> str:
        ended = await shared_platform.cli(*arguments)
        assert ended.returncode == status, f"{arguments}: {ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    made = json.loads(await run("projects", "create", "blue", "--json"))
    assert made["id"] in await run("projects", "list")
    assert "held" in await run("projects", "create", "blue", status=REFUSED)
    assert "blue" not in await run("projects", "rename", made["id"], "green")
    assert [p["name"] for p in json.loads(await run("projects", "list", "--json"))][:1] == ["green"]

    deployed = json.loads(
        await run("deploy", "-f", spec_file(hello("here")), "-p", made["id"], "--no-wait", "--json")
    )
    assert "here" in await run("list", "-p", made["id"])
    assert "1 deployment" in await run("projects", "delete", made["id"], status=REFUSED)
    await run("delete", "here", "--yes", "-p", made["id"])
    assert deployed["deploymentId"] in await run("projects", "activity", made["id"])
    assert made["id"] in await run("projects", "delete", made["id"])
    assert made["id"] not in await run("projects", "list")
    assert made["id"] in await run("projects", "activity", made["id"], status=NOT_FOUND)
