"""From what a replica uses to what a person is shown of it, on a platform of its own."""

import json
import signal

from tests.support.health_with_gpu import PERCENT, WITH_GPU
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually

SMALL = "- {name: small, cpus: 0.25, memoryGib: 0.5, pricePerHour: 3.6}\n"

A_FEW_MINUTES_S = 300.0


def of_small(name: str, **fields) -> dict:
    config = hello(name, **fields)
    config["resources"]["machineType"] = "small"
    return config


async def test_what_replicas_use_is_shown_by_the_minute_and_what_they_cost_by_the_log(tmp_path):
    types = tmp_path / "types.yaml"
    types.write_text(SMALL)
    platform = LivePlatform(
        tmp_path / "home", SPECSTREAM_MACHINE_TYPES=str(types), SPECSTREAM_USAGE_SECONDS="1", **WITH_GPU
    )
    try:
        await platform.start_and_wait()
        deployment_id = await platform.deploy(of_small("measured"))
        (instance,) = await platform.instances(deployment_id)

        await platform.submit(of_small("stopped", replicas=0))
        nothing = await platform.cli("metrics", "stopped", "--metric", "memory")
        assert nothing.returncode == 1
        assert "no memory of stopped was measured in this time" in nothing.stderr

        async def memory():
            return await platform.get(f"deployments/{deployment_id}/metrics", metric="memory")

        (series,) = await eventually(memory, within_s=A_FEW_MINUTES_S, every_s=1)
        assert series["instanceId"] == instance["id"]
        percent = float(series["values"][0]["value"])
        assert 1 < percent < 30, "a small Python program in 512 MiB"
        first = series["values"][0]["timestamp"]

        of_gpu = await platform.get(f"deployments/{deployment_id}/metrics", metric="gpu")
        assert of_gpu[0] == {
            "gpu": "1",
            "instanceId": instance["id"],
            "timestamp": first,
            "value": f"{PERCENT:g}",
        }
        shown = await platform.cli("metrics", "measured", "--metric", "gpu")
        assert (shown.returncode, f"{PERCENT:g} %" in shown.stdout) == (0, True), shown.stdout

        # A new api goes on where the one before it was, and what was recorded stays.
        platform.send("api", signal.SIGKILL)
        await platform.healthy()

        async def later():
            (found,) = await memory()
            return len(found["values"]) > len(series["values"]) and found["values"]

        values = await eventually(later, within_s=A_FEW_MINUTES_S, every_s=1)
        assert values[0]["timestamp"] == first

        shown = await platform.cli("metrics", "measured", "--metric", "memory")
        assert (shown.returncode, "memory" in shown.stdout) == (0, True)
        topped = await platform.cli("top", "--once")
        assert (topped.returncode, "1/1" in topped.stdout) == (0, True), topped.stderr

        costs = await platform.cli("cost", "measured", "--since", "1h", "--by", "machine-type", "--json")
        found = json.loads(costs.stdout)
        (item,) = found["items"]
        assert (item["machineType"], found["unpriced"]) == ("small", [])
        assert item["replicaSeconds"] > 60
        assert abs(item["cost"] - item["replicaSeconds"] / 1000) < 1e-5
        assert "small" in (await platform.cli("cost", "--by", "machine-type")).stdout
        assert (await platform.verified())["ok"]
    finally:
        await platform.close()
