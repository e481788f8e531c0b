"""From a call at a deployment's endpoint to its count in METRICS, on a whole platform."""

from tests.support.envoy_totals import totals_of
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import PATIENCE_S, eventually

CALLS = 7


async def test_what_was_called_is_counted(shared_platform: LivePlatform):
    deployment_id = await shared_platform.deploy(hello("counted"))
    caller = shared_platform.caller(deployment_id)
    statuses: list[int] = []

    async def are_served() -> bool:
        statuses.append((await caller.once()).status_code)
        return statuses.count(200) == CALLS

    # Until the router has told Envoy of it, there is no such deployment, and then one without a replica.
    await eventually(are_served)
    refused = statuses.count(503)
    found = await totals_of(shared_platform, deployment_id, answered=CALLS)
    assert (found.answered, found.unanswered, found.server_errors) == (CALLS, refused, refused)
    assert 0 < found.duration_us < PATIENCE_S * 1e6
