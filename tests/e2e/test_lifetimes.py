"""Platforms that go down, are killed, are held, or are made again from an export."""

import signal

import pytest

from libs.common.services import SERVICES
from tests.support.live_platform import LivePlatform, hello
from tests.support.platform_process import PROGRAMS
from tests.support.polling import eventually


@pytest.fixture(scope="module")
async def home(tmp_path_factory):
    platform = LivePlatform(tmp_path_factory.mktemp("lifetimes") / "home")
    yield platform
    await platform.close()


@pytest.fixture
async def platform(home):
    """One for all of these tests; each leaves it up."""
    if not home.is_up:
        await home.start_and_wait()
    return home


async def test_down_and_up_bring_back_what_the_log_says(platform):
    kept = await platform.deploy(hello("kept", replicas=2))
    off = await platform.deploy({**hello("off"), "enabled": False})
    gone = await platform.deploy(hello("gone"))
    await platform.delete(gone)
    await platform.gone(gone)
    before = await platform.get(f"/deployments/{kept}/history")
    assert (await platform.run("down")).returncode == 0
    assert not platform.left()
    assert not platform.replica_processes(kept)
    await platform.start_and_wait()
    await platform.settled(kept)
    async with platform.calling(kept) as caller:
        pass
    assert not caller.failures()
    assert len(await platform.replica_pids(kept)) == 2
    assert await platform.get(f"/deployments/{kept}/history") == before
    assert not platform.replica_processes(off)
    assert not platform.replica_processes(gone)
    await platform.verified()


async def test_after_the_death_of_everything_the_replicas_are_adopted(platform):
    deployment_id = await platform.deploy(hello("survivor", replicas=2))
    before = await platform.replica_pids(deployment_id)
    ports = platform.ports()
    for program in ("supervisor", *PROGRAMS):
        platform.send(program)
    assert platform.replica_processes(deployment_id) == {r: [pid] for r, pid in before.items()}
    await platform.start_and_wait()
    async with platform.calling(deployment_id) as caller:
        await platform.settled(deployment_id)
    assert not caller.failures()
    assert await platform.replica_pids(deployment_id) == before
    assert platform.ports() == ports
    assert not await platform.events(deployment_id, type="ReplicaStopped")
    await platform.verified()


async def test_a_start_is_ready_by_its_own_processes_and_not_by_what_a_dead_one_said(platform):
    """The api lives on, and has heard the router a moment ago."""
    before = len(platform.output)
    for program in ("supervisor", "router"):
        platform.send(program)
    platform.environment["SPECSTREAM_MODULE_ROUTER"] = "tests.support.standin_service"  # says nothing
    platform.start()
    # Another one may be late too, and what is waited for is said anew whenever it is something else.
    await eventually(lambda: "still waiting for router\n" in platform.output[before:])
    assert "ready in" not in platform.output[before:]
    platform.send("supervisor")
    del platform.environment["SPECSTREAM_MODULE_ROUTER"]
    await platform.start_and_wait()
    assert (await platform.get("/health", detail="true"))["processes"]["router"] == platform.pid("router")


async def test_envoy_serves_with_every_other_process_dead(platform):
    deployment_id = await platform.deploy(hello("autonomous", replicas=2))
    before = await platform.replica_pids(deployment_id)
    async with platform.calling(deployment_id) as caller:
        for program in ("supervisor", *SERVICES, "nats"):
            platform.send(program)
        envoy, count = platform.pid("envoy"), len(caller.calls)
        await eventually(lambda: len(caller.calls) > count + 50)
        await platform.start_and_wait()
        assert platform.pid("envoy") == envoy
        await platform.settled(deployment_id)
        await platform.submit(hello("autonomous", replicas=2, VERSION="2"))
        await platform.settled(deployment_id)
    assert not caller.failures()
    assert not before.keys() & (await platform.replica_pids(deployment_id)).keys()


async def test_who_does_not_move_is_named_by_health(platform):
    platform.send("reconciler", signal.SIGSTOP)
    try:

        async def is_named() -> bool:
            return await _not_ready(platform) == ["reconciler"]

        await eventually(is_named, every_s=0.2)
    finally:
        platform.send("reconciler", signal.SIGCONT)
    await platform.healthy()


async def test_an_export_brings_the_same_state_back_in_an_empty_home(platform, tmp_path):
    deployment_id = await platform.deploy(hello("exported"))
    await platform.deploy(hello("exported", VERSION="2"))
    deleted = await platform.deploy(hello("exported-deleted"))
    await platform.delete(deleted)
    await platform.gone(deleted)
    file = tmp_path / "log.ndjson"
    verified = await platform.cli("log", "verify")
    assert (verified.returncode, verified.stdout.split()[1]) == (0, "events,")
    exported = await platform.cli("log", "export", str(file))
    assert exported.returncode == 0, exported.stderr
    histories = await _histories(platform, deployment_id, deleted)
    again = LivePlatform(tmp_path / "again")
    try:
        await again.start_and_wait()
        # Before the import: afterwards this home has a replica of the same deployment too.
        elsewhere = set(platform.replica_processes(deployment_id))
        imported = await again.cli("log", "import", str(file))
        assert imported.returncode == 0, imported.stderr
        assert await _histories(again, deployment_id, deleted) == histories
        async with again.calling(deployment_id) as caller:
            # The imported facts still speak of the other home's replicas; health soon knows better.
            async def a_replica_of_this_home_answers() -> bool:
                response = await caller.once()
                replica_id = response.headers.get("x-specstream-replica")
                return response.status_code == 200 and replica_id not in elsewhere

            await eventually(a_replica_of_this_home_answers, every_s=0.1)
            assert (await caller.once()).json()["version"] == "2"
        await again.settled(deployment_id)
        second = await again.cli("log", "import", str(file))
        assert second.returncode != 0
        assert (await again.cli("log", "verify")).returncode == 0
    finally:
        await again.close()


async def _not_ready(platform: LivePlatform) -> list[str]:
    answer = await platform.http.get("/health")
    return answer.json()["details"]["notReady"] if answer.status_code == 503 else []


async def _histories(platform: LivePlatform, *deployment_ids: str) -> list[object]:
    return [await platform.get(f"/deployments/{one}/history") for one in deployment_ids]
