"""The operator's list of machine types, from the file that he names to what a spec may ask for."""

import json
import signal

from tests.support.live_platform import LivePlatform, hello

SMALL = "- {name: small, cpus: 0.25, memoryGib: 0.5}\n"
LARGE = "- {name: large, cpus: 4, memoryGib: 16}\n"


def of(machine_type: str, **fields) -> dict:
    config = hello("typed", **fields)
    config["resources"]["machineType"] = machine_type
    return config


async def test_a_list_is_taken_over_at_the_next_start_and_restarts_no_replica(tmp_path):
    types = tmp_path / "types.yaml"
    types.write_text(SMALL)
    platform = LivePlatform(tmp_path / "home", SPECSTREAM_MACHINE_TYPES=str(types))
    try:
        await platform.start_and_wait()
        deployment_id = await platform.deploy(of("small"))
        pids = await platform.replica_pids(deployment_id)
        refused = await platform.ask("POST", "deployments", json={"config": of("C4"), "projectId": "default"})
        (issue,) = refused.json()["issues"]
        assert refused.status_code == 400
        assert (issue["path"][-1], issue["value"], issue["allowed"]) == ("machineType", "C4", ["small"])

        platform.send("supervisor", signal.SIGKILL)
        assert await platform.wait() != 0
        types.write_text(LARGE)
        await platform.start_and_wait()
        assert await platform.replica_pids(deployment_id) == pids
        ended = await platform.cli("machine-types", "--json")
        assert not ended.stderr, ended.stderr
        listed = [(m["name"], m["cpus"], m["gpus"]) for m in json.loads(ended.stdout)]
        assert listed == [("large", 4.0, 0)]

        first = (await platform.spec(deployment_id))["id"]
        for switching_off in (("scale", "typed", "0"), ("disable", "typed")):
            assert (await platform.cli(*switching_off)).returncode == 0
        assert await platform.runs(deployment_id) == []
        assert (await platform.spec(deployment_id))["data"]["resources"]["machineType"] == "small"
        await platform.deploy(of("large"))
        refused = await platform.ask("POST", f"deployments/{deployment_id}/rollback", json={"specId": first})
        (issue,) = refused.json()["issues"]
        assert (refused.status_code, issue["value"], issue["allowed"]) == (400, "small", ["large"])
    finally:
        await platform.close()
