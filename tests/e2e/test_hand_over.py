"""No request is lost when replicas leave: neither with the router held for seconds, nor one that is slow."""

import asyncio
import signal
from contextlib import AsyncExitStack

import pytest

from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually, let_time_pass
from tests.support.slow_calls import slow_calls

HELD_S = 5
SLOW_S = 6

CHANGES = {
    "update": (200, None),
    "scale-down": (200, None),
    "disable": (404, "deployment_disabled"),
    "delete": (404, "deployment_not_found"),
}
"""What a call is answered in the end."""


@pytest.fixture(scope="module")
async def lasting_platform(tmp_path_factory):
    platform = LivePlatform(tmp_path_factory.mktemp("handed-over") / "home")
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


@pytest.fixture
async def platform(lasting_platform):
    """One for both tests, without a deployment."""
    yield lasting_platform
    await lasting_platform.delete_all()


async def test_nothing_is_lost_while_the_router_is_held(platform: LivePlatform):
    deployments = await _deploy_all(platform)
    async with AsyncExitStack() as stack:
        callers = {
            change: await stack.enter_async_context(platform.calling(deployments[change]))
            for change in CHANGES
        }
        router = platform.pid("router")
        platform.send("router", signal.SIGSTOP)
        asked_at = await _change_all(platform, deployments)
        await let_time_pass(HELD_S)
        platform.send("router", signal.SIGCONT)
        await _done(platform, deployments)
        for change, caller in callers.items():
            await eventually(lambda change=change, caller=caller: _is_final(change, caller.calls[-1]))
    assert platform.pid("router") == router
    for change, caller in callers.items():
        lost = [call for call in caller.failures() if call.sent < asked_at or not _is_final(change, call)]
        assert not lost, f"{change}: {lost[:3]}"
    await platform.verified()


async def test_a_slow_response_survives_all_of_it(platform: LivePlatform):
    deployments = await _deploy_all(platform)
    slow = await slow_calls(platform, deployments.values(), each=4, seconds=SLOW_S)
    await _change_all(platform, deployments)
    for change, deployment_id in deployments.items():
        statuses = [answer.status_code for answer in await asyncio.gather(*slow[deployment_id])]
        assert statuses == [200] * 4, change
    await _done(platform, deployments)


async def _deploy_all(platform: LivePlatform) -> dict[str, str]:
    return dict(
        zip(
            CHANGES,
            await asyncio.gather(*(platform.deploy(hello(change, replicas=2)) for change in CHANGES)),
            strict=True,
        )
    )


async def _change_all(platform: LivePlatform, deployments: dict[str, str]) -> float:
    asked_at = asyncio.get_running_loop().time()
    await platform.submit(hello("update", replicas=2, VERSION="2"))
    await platform.submit(hello("scale-down", replicas=1))
    await platform.submit({**hello("disable", replicas=2), "enabled": False})
    await platform.delete(deployments["delete"])
    return asked_at


async def _done(platform: LivePlatform, deployments: dict[str, str]) -> None:
    for change, replicas in (("update", 2), ("scale-down", 1), ("disable", 0)):
        await platform.settled(deployments[change])
        assert len(await platform.replica_pids(deployments[change])) == replicas
    await platform.gone(deployments["delete"])


def _is_final(change: str, call) -> bool:
    return (call.status, call.error_code) == CHANGES[change]
