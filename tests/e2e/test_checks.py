"""Checks that are commands, and what `runs` tells of checks, on a whole platform."""

from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually
from tests.support.processes import kill

READY = {"exec": {"command": ["test", "-f", "$(HOME)/ready"]}, "periodSeconds": 1, "timeoutSeconds": 30}
LIVE = {"path": "/live", "periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": 100}
"""It counts from the first instant of a process, which on a busy machine listens only seconds later."""


async def test_a_command_that_checks_and_how_it_stands(shared_platform: LivePlatform):
    checks = {"readiness": READY, "liveness": LIVE}
    config = hello("checked", checks=checks)
    command = ["sh", "-c", f"touch ready; exec {' '.join(config['command'])}"]
    deployment_id = await shared_platform.deploy({**config, "command": command})
    stored = (await shared_platform.get(f"deployments/{deployment_id}"))["latestSpec"]["data"]
    assert stored["healthChecks"]["readiness"]["exec"] == {"command": ["test", "-f", "$(HOME)/ready"]}

    async def shown(kind: str, **wanted) -> dict | None:
        (instance,) = await shared_platform.instances(deployment_id)
        found = [each for each in instance.get("checks", ()) if each["check"] == kind]
        return instance if any(wanted.items() <= each.items() for each in found) else None

    for kind in ("readiness", "liveness"):
        instance = await eventually(lambda kind=kind: shown(kind, standing="passing", outcome="success"))
        assert instance["restarts"] == 0
        assert "lastExit" not in instance
        check = next(each for each in instance["checks"] if each["check"] == kind)
        assert 0 < check["latencySeconds"] < 30
        assert check["failures"] == 0
        assert check["dtChecked"] > instance["dtCreated"]

    ready = next((shared_platform.home / "replicas").glob(f"deployments/*/{instance['id']}/cwd/ready"))
    ready.unlink()
    message = "exited with status 1"
    await eventually(lambda: shown("readiness", standing="failing", outcome="failure", message=message))
    ready.touch()
    await eventually(lambda: shown("readiness", standing="passing", failures=0))

    (pid,) = (await shared_platform.replica_pids(deployment_id)).values()
    kill(pid)

    async def has_ended() -> dict | None:
        (instance,) = await shared_platform.instances(deployment_id)
        return instance if instance["restarts"] == 1 and "lastExit" in instance else None

    instance = await eventually(has_ended)
    assert instance["lastExit"]["signal"] == 9
    assert "status" not in instance["lastExit"]
    assert not any("checks" in event["type"] for event in await shared_platform.events(deployment_id))
    await shared_platform.delete(deployment_id)
