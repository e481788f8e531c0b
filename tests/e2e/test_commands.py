"""Another system publishes CloudEvents over NATS, as examples/commands does."""

import asyncio
import json
import os
import sys
from pathlib import Path
from uuid import uuid4

import nats
import nkeys
import pytest

from libs.common.ids import new_id
from tests.support.live_platform import LivePlatform, hello
from tests.support.platform_process import ROOT
from tests.support.polling import PATIENCE_S, eventually
from tests.support.tcp_proxy import proxied

EXAMPLES = pytest.mark.parametrize("example", [("events", "follow.py"), ("commands", "submit.py")])
WAITED_FOR = "the broker, which is waited for: "


@pytest.fixture
async def bus(shared_platform):
    """The broker, as its user for other systems."""
    client = await nats.connect(
        f"nats://127.0.0.1:{shared_platform.ports()['nats']}",
        nkeys_seed=str(shared_platform.home / "nats" / "commands.nk"),
    )
    yield client
    await client.close()


async def test_the_example_submits_and_is_answered(shared_platform, tmp_path):
    answer = await _example(shared_platform, tmp_path, hello("by-command"))
    assert answer["type"] == "done"
    deployment_id = answer["deploymentId"]
    await shared_platform.settled(deployment_id)
    async with shared_platform.calling(deployment_id):
        pass
    [registered] = await shared_platform.events(deployment_id, type="SpecRegistered")
    assert registered["data"]["spec_id"] == answer["specId"]
    cause = registered["actor"], registered["causationSource"], registered["causationId"]
    assert cause == ("command:commands", answer["commandSource"], answer["commandId"])


async def test_a_caller_that_asks_again_is_answered_again(shared_platform, tmp_path):
    command_id = str(uuid4())
    first = await _example(shared_platform, tmp_path, hello("asked-again"), command_id)
    assert await _example(shared_platform, tmp_path, hello("asked-again"), command_id) == first
    # Nothing to change is an answer, too.
    unchanged = await _example(shared_platform, tmp_path, hello("asked-again"))
    assert (unchanged["type"], unchanged["specId"]) == ("done", first["specId"])
    refused = await _example(shared_platform, tmp_path, {"name": 5}, command_id := str(uuid4()), status=1)
    assert await _example(shared_platform, tmp_path, {"name": 5}, command_id, status=1) == refused


async def test_a_refusal_says_the_same_as_rest(shared_platform, tmp_path):
    wrong = {**hello("wrong"), "image": 5, "surprise": True}
    refused = await _example(shared_platform, tmp_path, wrong, status=1)
    by_rest = await shared_platform.ask(
        "POST", "/deployments", json={"config": wrong, "projectId": "default"}
    )
    assert refused["type"] == "rejected"
    assert (refused["code"], refused["message"]) == (by_rest.json()["code"], by_rest.json()["message"])
    assert refused["issues"] == by_rest.json()["issues"]


async def test_the_same_command_twice_is_carried_out_once(shared_platform, bus):
    command_id = str(uuid4())
    name = f"twice-{new_id()[:8]}"
    for version in ("1", "2"):
        await _publish(bus, "submit", command_id, {"config": hello(name, VERSION=version)})
    await _publish(bus, "submit", str(uuid4()), {"config": hello(name, VERSION="3")})

    async def found() -> list | None:
        page = await shared_platform.get("/projects/default/deployments", name=name)
        deployment_id = page["items"][0]["id"] if page["items"] else None
        specs = await shared_platform.events(deployment_id, type="SpecRegistered") if deployment_id else []
        return specs if len(specs) == 2 else None

    specs = await eventually(found)
    versions = [spec["data"]["spec"]["env"][0]["value"] for spec in specs]
    assert versions == ["1", "3"]


async def test_a_structured_command_deletes(shared_platform, bus):
    deployment_id = await shared_platform.deploy(hello("by-command-deleted"))
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/tests",
        "type": "specstream.deployment.delete",
        "datacontenttype": "application/json",
        "data": {"deploymentId": deployment_id},
    }
    await bus.jetstream(timeout=PATIENCE_S).publish(
        "commands.default.deployment.delete",
        json.dumps(event).encode(),
        headers={"content-type": "application/cloudevents+json"},
    )
    await shared_platform.gone(deployment_id)
    (deleted,) = await shared_platform.events(deployment_id, type="DeploymentDeleted")
    assert deleted["causationId"] == event["id"]


async def test_a_command_says_nowhere_what_the_platform_publishes(shared_platform, bus):
    """FastStream sends what a handler returns to the subject that a header of the message names: an empty
    message of the api itself, which the log would store."""
    deployment_id = await shared_platform.deploy(hello("by-command-replied"))
    before = await shared_platform.at_rest(deployment_id)
    where = f"append.default.deployment.{deployment_id}.DeploymentDeleted"
    command_id, known = str(uuid4()), str(uuid4())
    await _publish(bus, "delete", command_id, {"deploymentId": new_id()}, reply_to=where)
    # Commands are carried out in their order: what is done after it shows all that it led to.
    await _publish(bus, "submit", known, {"config": hello("by-command-after")})

    async def is_done() -> bool:
        page = await shared_platform.get("/projects/default/deployments", name="by-command-after")
        return bool(page["items"])

    await eventually(is_done)
    assert await shared_platform.events(deployment_id) == before


async def _publish(bus, verb: str, command_id: str, data: dict, **more: str) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": command_id,
        "ce-source": "/tests",
        "ce-type": f"specstream.deployment.{verb}",
        "content-type": "application/json",
        **more,
    }
    await bus.jetstream(timeout=PATIENCE_S).publish(
        f"commands.default.deployment.{verb}", json.dumps(data).encode(), headers=headers
    )


async def test_the_example_of_another_system_follows_the_events(shared_platform):
    deployment_id = await shared_platform.deploy(hello("followed"))
    stored = await shared_platform.events()
    after = stored[-10]["sequence"]
    following = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "examples" / "events" / "follow.py")),
        *(str(shared_platform.home), str(after)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert following.stdout is not None
    try:
        read = [json.loads(await following.stdout.readline()) for _ in range(9)]
        assert [(one["sequence"], one["type"]) for one in read] == [
            (one["sequence"], one["type"]) for one in stored[-9:]
        ]
        await shared_platform.delete(deployment_id)
        while (event := json.loads(await following.stdout.readline()))["type"] != "DeploymentDeleted":
            pass
        assert event["actor"] == "key:default"
        assert event["data"] is not None
    finally:
        following.terminate()
        await following.wait()


@EXAMPLES
@pytest.mark.parametrize("seed", ["of a broker elsewhere", "none", "nowhere"])
async def test_an_example_that_is_not_let_in_says_so_at_once(shared_platform, tmp_path, example, seed):
    """It tries no second time, unless somebody was only slow: what is wrong stays so."""
    port = 1 if seed == "nowhere" else shared_platform.ports()["nats"]
    key = "no seed" if seed == "none" else nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode()
    process = await _example_at(tmp_path, port, key, example)
    output, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, output) == (1, b""), error
    *slow, line = error.decode().splitlines()
    assert line.startswith(f"the broker of {tmp_path} cannot be reached with its seed: ")
    assert all(one.startswith(WAITED_FOR) for one in slow), slow


@EXAMPLES
async def test_an_example_waits_for_a_broker_that_does_not_answer_at_first(
    shared_platform, tmp_path, example
):
    key = (shared_platform.home / "nats" / "commands.nk").read_text()
    async with proxied(shared_platform.ports()["nats"]) as proxy:
        proxy.loses_answers = True
        process = await _example_at(tmp_path, proxy.port, key, example)
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert (await process.stderr.readline()).decode().startswith(WAITED_FOR)
            proxy.loses_answers = False
            assert await process.stdout.readline()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _example_at(
    home: Path, port: int, key: str, example: tuple[str, str]
) -> asyncio.subprocess.Process:
    """It runs, with a home in which its broker is at this port and its seed is this one."""
    (home / "run").mkdir()
    (home / "run" / "ports.json").write_text(json.dumps({"nats": port}))
    (home / "nats").mkdir()
    (home / "nats" / "commands.nk").write_text(key)
    spec = [str(ROOT / "examples" / "hello" / "specstream.yaml")] if example[0] == "commands" else []
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT.joinpath("examples", *example)), str(home), *spec),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _example(platform: LivePlatform, tmp_path, config: dict, *command_id: str, status: int = 0) -> dict:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / "commands" / "submit.py"),
        str(platform.home),
        str(spec),
        *command_id,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == status, output
    return json.loads(output)
