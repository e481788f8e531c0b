"""An import into a running home is whole or not there, whatever is killed while it runs.

It holds promise 13.

`SPECSTREAM_SEED` does a run again.
"""

import asyncio
import random

import pytest

from tests.support.killing import SEED_VARIABLE, choose_seed
from tests.support.live_platform import LivePlatform
from tests.support.long_history import LongHistory, long_history
from tests.support.polling import eventually, let_time_pass

SEED = choose_seed()


@pytest.fixture(scope="module")
async def history() -> LongHistory:
    return await long_history()


@pytest.mark.parametrize("killed", [None, "api", "nats", "supervisor"])
async def test_no_service_acts_on_a_part_of_an_import(own_platform, history, tmp_path, killed):
    rng = random.Random(f"{SEED} {killed}")
    delay_s, from_its_begin = rng.uniform(0, 0.15), rng.random() < 0.8
    print(f"{SEED_VARIABLE}={SEED}: {killed} killed after {delay_s:.3f} s, from its begin: {from_its_begin}")
    await own_platform.start_and_wait()
    importing = asyncio.create_task(
        own_platform.cli("log", "import", str(history.write(tmp_path / "log.ndjson")))
    )
    if killed is not None:
        if from_its_begin:
            await eventually(lambda: _has_begun(own_platform), every_s=0.001)
        await let_time_pass(delay_s)
        own_platform.send(killed)
        if killed == "supervisor":
            await own_platform.start_and_wait()
    imported = await importing
    assert imported.returncode == 0, imported.stderr
    assert f"{history.events} events imported" in imported.stdout
    await own_platform.healthy()
    await _is_as_the_log_says(own_platform, history)


def _has_begun(platform: LivePlatform) -> bool:
    return (platform.home / "api" / "import" / "outcome.json").exists()


async def _is_as_the_log_says(platform: LivePlatform, history: LongHistory) -> None:
    for deployment_id, spec_id in history.newest.items():
        spec = await platform.settled(deployment_id)
        assert spec["id"] == spec_id
        replicas = await platform.replica_pids(deployment_id)
        assert len(replicas) == (1 if deployment_id in history.running else 0)
        async with platform.caller(deployment_id) as caller:
            if deployment_id in history.running:
                await eventually(lambda caller=caller: caller.served)
    exported = (await platform.ask("GET", "/log/export")).content.splitlines(keepends=True)
    assert exported[: history.events + 1] == list(history.lines[:-1]), "something stands between the events"
    decided = await platform.events(after=history.events, type="SpecApplied")
    assert {event["data"]["spec_id"] for event in decided} <= set(history.newest.values())
    assert (await platform.cli("log", "verify")).returncode == 0
