"""Whatever an import brings, the api shows it and takes changes."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings

from libs.common.clock import to_rfc3339
from libs.common.log.port import Stored
from libs.common.log.timeline import Timeline
from services.api.readmodels.database import memory_database
from services.api.readmodels.numbers import numbers_at, steps_between
from services.api.readmodels.replay import Replay
from services.api.readmodels.writer import take_all_in
from tests.support.made_up_facts import DEPLOYMENTS, GOOD, PROJECT
from tests.support.made_up_histories import events_of, histories, log_of
from tests.support.rest import RunningApi, a_config, running_api
from tests.support.strategies import EPOCH

FEW = settings(max_examples=max(8, settings.default.max_examples // 8))
"""Each is hundreds of requests."""


@given(histories)
def test_a_replay_in_other_batches_gives_the_same_rows(history: list[Stored]) -> None:
    events = asyncio.run(events_of(history))
    with TemporaryDirectory() as folder, Replay(Path(folder)) as replay:
        shown = memory_database()
        take_all_in(shown, events, log="", timeline=Timeline())
        for start in range(0, len(events), 3):
            replay.take(events[start : start + 3])
        with shown.connect() as connection:
            assert [found for found in replay.pages(connection) if found is not None] == []
        shown.dispose()


@FEW
@given(histories)
def test_all_of_it_is_shown_and_changed(history: list[Stored]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(_show(history, Path(folder)))


async def _show(history: Iterable[Stored], home: Path) -> None:
    log = await log_of(history)
    async with running_api(home, log) as api:
        assert api.api.projector.progress.set_aside == {}
        end = await log.last_sequence()
        for path in PATHS:
            await answers(api, path)
        for deployment_id in (*dict.fromkeys(DEPLOYMENTS), GOOD):
            await _show_deployment(api, deployment_id, end)
        for deployment_id in (GOOD, *dict.fromkeys(DEPLOYMENTS)):
            await _change(api, deployment_id)
        await sent(api, "/v1/deployments", {"config": a_config("new"), "projectId": PROJECT})
        for method, content in (("PUT", {"name": "new"}), ("DELETE", None)):
            answer = await api.http.request(method, f"/v1/projects/{PROJECT}", json=content)
            assert answer.status_code < 500, answer.text
        assert (await api.get(f"/v1/deployments/{GOOD}"))["id"] == GOOD
        await api.submit(a_config("another"))
        assert api.api.projector.progress.set_aside == {}


PATHS = (
    "/v1/deployments",
    "/v1/projects",
    f"/v1/projects/{PROJECT}",
    f"/v1/projects/{PROJECT}/deployments",
    f"/v1/projects/{PROJECT}/activity",
    "/v1/projects/default/deployments",
    "/v1/projects/default/activity",
    "/v1/projects/default/activity?limit=3",
    "/v1/events",
    "/v1/events?type=RosterRecorded",
    f"/v1/events?deploymentId={GOOD}",
    "/v1/log/verify",
    *(
        f"/v1/usage?from=2025-12-31T00:00:00Z&to=2026-01-03T00:00:00Z&groupBy={by}"
        for by in ("deployment", "spec", "project", "machineType")
    ),
)


async def _show_numbers(api: RunningApi, deployment_id: str) -> None:
    """What metrics and what-if go by."""
    since, until = (to_rfc3339(EPOCH + timedelta(minutes=minutes)) for minutes in (-30, 30))
    said = await api.api.queries.said(deployment_id, since=since, until=until)
    begin, end = ((EPOCH + timedelta(minutes=minutes)).timestamp() for minutes in (-30, 30))
    steps_between(said, begin, end)
    numbers_at(said, [begin, end])


async def _show_deployment(api: RunningApi, deployment_id: str, end: int) -> None:
    path = f"/v1/deployments/{deployment_id}"
    await _show_numbers(api, deployment_id)
    for further in (
        "",
        "/history",
        "/runs",
        "/logs",
        "/decisions",
        "/explain",
        "/metrics?metric=requests_total",
    ):
        await answers(api, path + further)
    for at in (*range(1, end + 1, 3), end, EPOCH.isoformat().replace("+", "%2B")):
        await answers(api, f"{path}?at={at}")
        await answers(api, f"{path}/explain?at={at}")
    answer = await api.http.get(f"{path}/history")
    ids = [spec["id"] for spec in answer.json().get("items", [])]
    for earlier, later in zip(ids[1:], ids, strict=False):
        await answers(api, f"{path}/diff", **{"from": earlier, "to": later})


async def _change(api: RunningApi, deployment_id: str) -> None:
    policy = {"maxReplicas": 3, "metrics": [{"metric": "cpu", "summary": "average", "value": 50}]}
    path = f"/v1/deployments/{deployment_id}"
    history = (await api.http.get(f"{path}/history")).json().get("items", [])
    await sent(api, f"{path}/whatif", {"autoscaling": policy, "from": EPOCH.isoformat()})
    await sent(api, "/v1/deployments", {"config": a_config("x"), "deploymentId": deployment_id})
    for spec in history[-1:]:
        await sent(api, f"{path}/rollback", {"specId": spec["id"]})
    if deployment_id != GOOD:
        answer = await api.http.delete(path)
        assert answer.status_code < 500, answer.text


async def answers(api: RunningApi, path: str, **params: str) -> None:
    answer = await api.http.get(path, params=params or None)
    assert answer.status_code in {200, 404}, (path, answer.text)


async def sent(api: RunningApi, path: str, content: object) -> None:
    answer = await api.http.post(path, json=content)
    assert answer.status_code < 500, (path, answer.text)
