"""Verifying a log with an event of which no read model can be made."""

import pytest

from libs.common.events.replica import ReplicaStarted
from services.api.archive import verification
from tests.support.deployments import Storyteller, a_replica
from tests.support.rest import RunningApi, a_config

TOO_LARGE = 10**30
"""For a column of the read models."""


@pytest.mark.parametrize("several", [0, verification.SEVERAL], ids=["in a process", "in threads"])
async def test_it_is_found_and_said(api: RunningApi, monkeypatch: pytest.MonkeyPatch, several: int):
    monkeypatch.setattr(verification, "SEVERAL", several)
    deployment_id = await api.submit(a_config())
    assert (await api.get("/v1/log/verify"))["ok"]
    story = Storyteller(api.api.log, deployment_id)
    [run] = await api.get(f"/v1/deployments/{deployment_id}/runs")
    replica = a_replica("r1", None, run_id=run["id"])
    await story.tell(
        ReplicaStarted(replica_id="r1", replica=replica.model_copy(update={"attempt": TOO_LARGE}))
    )
    await api.get("/v1/deployments")
    assert await api.get("/v1/log/verify") == {
        "ok": False,
        "sequence": 1,
        "reason": "read models cannot be made from here on: OverflowError",
    }
