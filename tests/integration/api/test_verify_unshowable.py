"""Verifying a log with an event of which no read model can be made, or that is not understood."""

from pathlib import Path

import pytest

from libs.common.events.rollout import RolloutFact
from libs.common.log.memory import MemoryLog
from libs.common.log.verify import Verified
from services.api.archive import verification
from services.api.readmodels.database import open_database
from services.api.readmodels.replay import Replay
from tests.support.deployments import Storyteller
from tests.support.rest import RunningApi, a_config

SEVERAL = pytest.mark.parametrize("several", [0, verification.SEVERAL], ids=["in a process", "in threads"])


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
async def test_it_is_named_where_the_read_models_have_not_come_to_it_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: int
):
    monkeypatch.setattr(verification, "SEVERAL", several)
    log = MemoryLog(source="specstream/api")
    await Storyteller(log, "d" * 32).tell(InventedLater(secret="s3cret"))
    behind = await open_database(tmp_path / "read.db")
    *_, found = [step async for step in verification.verify_all(log, behind, head=None, folder=tmp_path)]
    await behind.dispose()
    assert isinstance(found, Verified)
    assert found.unread.startswith("1 events are not understood")


async def test_it_is_found_and_said(api: RunningApi, monkeypatch: pytest.MonkeyPatch):
    """No event is known of which no read model can be made, and whoever imports one chooses what is in it."""

    def overflows(*_: object) -> None:
        raise OverflowError

    await api.submit(a_config())
    assert (await api.get("/v1/log/verify"))["ok"]
    monkeypatch.setattr(Replay, "take", overflows)
    assert await api.get("/v1/log/verify") == {
        "ok": False,
        "sequence": 1,
        "reason": "read models cannot be made from here on: OverflowError",
    }
