"""Verifying a log with an event of which no read model can be made, or that is not understood."""

import pytest

from libs.common.events.replica import ReplicaStarted
from libs.common.events.rollout import RolloutFact
from services.api.archive import verification
from tests.support.deployments import Storyteller, a_replica
from tests.support.rest import RunningApi, a_config

SEVERAL = pytest.mark.parametrize("several", [0, verification.SEVERAL], ids=["in a process", "in threads"])
TOO_LARGE = 10**30
"""For a column of the read models."""


class InventedLater(RolloutFact):
    secret: str


@SEVERAL
async def test_what_is_not_understood_is_named(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, several: int
):
    monkeypatch.setattr(verification, "SEVERAL", several)
    deployment_id = await api.submit(a_config())
    assert "unread" not in await api.get("/v1/log/verify")
    story = Storyteller(api.api.log, deployment_id)
    for _ in range(2):
        await story.tell(InventedLater(secret="s3cret"))
    sequence = await api.api.log.last_sequence()
    found = await api.get("/v1/log/verify")
    assert (found["ok"], found["events"]) == (True, sequence)
    first = f"event {sequence - 1}, InventedLater of rollout {deployment_id} the first"
    assert found["unread"] == (
        f"2 events are not understood and change nothing, {first}: InventedLater is no type of event that "
        "this version of Specstream knows"
    )


@SEVERAL
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
