"""An event that cannot be taken in does not keep the read models from all others, and is made up for."""

from pathlib import Path

from libs.common.bus.heartbeat import Heartbeat, SetAside
from libs.common.log.memory import MemoryLog
from libs.common.services import SERVICES
from tests.support.deployments import Storyteller
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually
from tests.support.rest import RunningApi, a_config, running_api

ONE, TWO = "1" * 32, "2" * 32


def named(api: RunningApi) -> set[str]:
    return {one.subject for one in api.api.projector.progress.set_aside.values()}


async def test_others_go_on_it_is_named_and_made_anew(tmp_path: Path) -> None:
    log = PoisonedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path, log) as api:
        sick = await api.submit(a_config(name="sick"))
        log.poisoned = {sick}
        story = Storyteller(log, sick)
        await story.ready(ONE, "127.0.0.1:1")
        await eventually(lambda: named(api) == {sick})
        # What others change is shown at once.
        well = await api.submit(a_config(name="well"))
        await story.ready(TWO, "127.0.0.1:2")
        await story.stopped(ONE)
        assert (await api.get(f"/v1/deployments/{well}"))["name"] == "well"
        assert await api.api.queries.instances(sick) == []
        (shown,) = api.api.projector.progress.set_aside.values()
        assert shown.reason == "project: PoisonError"

        log.poisoned = set()
        await eventually(lambda: not named(api))
        assert {i.id for i in await api.api.queries.instances(sick)} == {TWO}
        assert (await api.get("/v1/log/verify"))["ok"]


async def test_what_was_set_aside_is_known_after_a_restart(tmp_path: Path) -> None:
    log = PoisonedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path, log) as api:
        sick = await api.submit(a_config(name="sick"))
        log.poisoned = {sick}
        await Storyteller(log, sick).ready(ONE, "127.0.0.1:1")
        await eventually(lambda: named(api) == {sick})
        checkpoint = await log.last_sequence()
        await eventually(lambda: api.api.projector.sequence == checkpoint)
    async with running_api(tmp_path, log) as api:
        assert api.api.projector.sequence == checkpoint
        assert named(api) == {sick}
        log.poisoned = set()
        await eventually(lambda: not named(api))
        assert [i.id for i in await api.api.queries.instances(sick)] == [ONE]
        assert (await api.get("/v1/log/verify"))["ok"]
    async with running_api(tmp_path, log) as api:
        assert named(api) == set()


async def test_a_batch_with_one_bad_event_is_taken_in_but_for_it(tmp_path: Path) -> None:
    log = PoisonedLog(MemoryLog(source="specstream/api"))
    async with running_api(tmp_path / "elsewhere", log) as api:
        ids = [await api.submit(a_config(name=f"d{number}")) for number in range(5)]
    log.poisoned = {ids[2]}
    async with running_api(tmp_path / "here", log) as api:
        found = await api.get("/v1/deployments")
        assert {item["id"] for item in found["items"]} == set(ids) - {ids[2]}
        assert named(api) == {ids[2]}
        log.poisoned = set()
        await eventually(lambda: not named(api))
        found = await api.get("/v1/deployments")
        assert {item["id"] for item in found["items"]} == set(ids)
        assert (await api.get("/v1/log/verify"))["ok"]


async def beat(api: RunningApi, *, is_ready: bool = True) -> None:
    now = api.api.clock()
    aside = SetAside(subject=ONE, reason="watch: OSError: no", since=now, attempts=2)
    for service in SERVICES:
        found = Heartbeat(
            service=service,
            pid=1,
            is_ready=is_ready or service != "health",
            applied_sequence=0,
            sent_at=now,
            set_aside=(aside,) if service == "health" else (),
            detail={"envoy_acknowledged": True, "autoscaled": 3, "unknown": 1},
        )
        api.api.heartbeats.take(found, now)


async def test_the_health_check_names_it_and_stays_healthy(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        api.at(api.api.clock())  # a heartbeat stays as young as it is
        await beat(api)
        answer = await api.http.get("/v1/health")
        assert (answer.status_code, answer.json()) == (200, "HEALTHY")
        assert answer.headers["x-specstream-set-aside"] == f"health={ONE}"
        answer = await api.http.get("/v1/health", params={"detail": "true"})
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["notReady"]) == ("HEALTHY", [])
        assert answer.json()["scaling"] == {"autoscaled": 3, "unknown": 1}
        (shown,) = answer.json()["setAside"]["health"]
        assert (shown["subject"], shown["reason"], shown["attempts"]) == (ONE, "watch: OSError: no", 2)

        await beat(api, is_ready=False)
        answer = await api.http.get("/v1/health")
        assert answer.status_code == 503
        assert answer.json()["details"]["notReady"] == ["health"]
        assert answer.json()["details"]["setAside"]["health"][0]["subject"] == ONE
        answer = await api.http.get("/v1/health", params={"detail": "true"})
        assert (answer.status_code, answer.json()["status"]) == (503, "NOT_READY")
        assert answer.headers["retry-after"] == "1"
