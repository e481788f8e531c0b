"""A rollout that takes longer than one may says so, and why; it goes on all the same."""

import json

from tests.support.live_platform import PROBED, hello
from tests.support.polling import eventually


async def test_a_stalled_rollout_ends_deploy_with_its_reason_and_may_still_come(own_platform, tmp_path):
    own_platform.environment |= {"SPECSTREAM_ROLLOUT_SECONDS": "1"}
    await own_platform.start_and_wait()
    is_ready = tmp_path / "is-ready"
    checks = {"readiness": {"exec": {"command": ["test", "-f", str(is_ready)]}, **PROBED}}
    config = hello("slow", checks=checks)
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(config))

    ended = await own_platform.cli("deploy", "-f", str(file))
    assert ended.returncode == 1
    assert "the rollout is stalled: 0 of 1 replicas are ready after 1 s" in ended.stderr
    deployment_id = (await own_platform.get("/deployments"))["items"][0]["id"]
    (run,) = await own_platform.runs(deployment_id)
    assert run["stalled"].startswith("0 of 1 replicas are ready after 1 s")
    shown = await own_platform.cli("get", deployment_id)
    assert run["stalled"] in shown.stdout
    is_ready.touch()

    async def is_served() -> bool:
        (run,) = await own_platform.runs(deployment_id)
        return (run["stalled"], run["readyReplicas"]) == (None, 1)

    await eventually(is_served)
    phases = [
        one["data"]["phase"] for one in await own_platform.events(deployment_id, type="RolloutProgressed")
    ]
    assert phases == ["waiting_for_ready", "stalled", "complete"]
