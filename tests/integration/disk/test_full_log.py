"""The disk under the log fills and empties again: what is told, what still works, that it heals itself."""

import asyncio
from contextlib import suppress

import httpx
import nats
import pytest

from libs.common.errors import LogUnavailable
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.name import NameReleased
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from tests.integration.disk.conftest import RESERVE_MIB
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually
from tests.support.small_disk import MIB


async def problem_of(live: LivePlatform, what: str = "log") -> str:
    """What /v1/health says about it; empty while it is ready."""
    try:
        answer = await live.http.get("/health")
    except httpx.TransportError:
        return ""
    if answer.status_code == 200:
        return ""
    details = answer.json()["details"]
    return details["problems"].get(what, "") if what in details["notReady"] else ""


async def told(live: LivePlatform, *words: str) -> str:
    """What /v1/health says about the log, as soon as it says these words."""

    said = ""

    async def is_told() -> bool:
        nonlocal said
        said = await problem_of(live)
        return all(word in said for word in words)

    await eventually(is_told, every_s=0.1, because=lambda: f"not told: {words}, but {said!r}")
    return said


async def try_submit(live: LivePlatform, name: str) -> tuple[int, str]:
    body = {"config": hello(name, replicas=0), "projectId": "default"}
    answer = await live.http.post("/deployments", json=body)
    content = answer.json()
    return answer.status_code, str(content["deploymentId"] if answer.status_code == 200 else content["code"])


async def has_each(live: LivePlatform, deployments: list[str]) -> None:
    """Every acknowledged change is in the log, each with all events of its batch, and the log is sound."""
    found: dict[str, set[str]] = {}
    for event in await live.events():
        _, _, kind, of, event_type = event["subject"].split(".")
        if kind == "deployment":
            found.setdefault(of, set()).add(event_type)
    assert set(deployments) <= found.keys()
    for deployment_id, types in found.items():
        assert {"DeploymentCreated", "SpecRegistered"} <= types, f"{deployment_id} is stored only in part"
    await live.verified()


def starts_of_nats(live: LivePlatform) -> int:
    return live.output.count("started nats")


async def test_on_a_full_disk_deleting_works_and_new_submits_are_refused(live, make_disk):
    disk = make_disk(live.home / "nats", mib=48)
    await live.start_and_wait()
    reserve = live.home / "nats" / "jetstream" / "reserve"
    assert reserve.stat().st_size == RESERVE_MIB * MIB
    kept, deleted = await live.deploy(hello("kept")), await live.deploy(hello("deleted"))
    disk.fill()
    problem = await told(live, "the disk under the log is", "MiB free")
    assert "deleting deployments still works" in problem
    assert await try_submit(live, "one-more") == (507, "INSUFFICIENT_STORAGE")
    await eventually(lambda: not reserve.exists())
    await eventually(lambda: "gave the reserve of 8 MiB free" in live.output)
    await live.delete(deleted)
    await live.gone(deleted)
    async with live.calling(kept) as caller:
        assert caller.served
    disk.empty()
    await live.healthy()
    await eventually(lambda: reserve.exists() and reserve.stat().st_size == RESERVE_MIB * MIB)
    await live.deploy(hello("one-more"))
    await has_each(live, [kept, deleted])


async def test_nothing_acknowledged_is_lost_when_the_disk_fills_under_load(live, make_disk):
    """Without a reserve nothing keeps the broker from the end of the disk."""
    live.environment["SPECSTREAM_DISK_RESERVE_MIB"] = "0"
    disk = make_disk(live.home / "nats", mib=48)
    await live.start_and_wait()
    assert not (live.home / "nats" / "jetstream" / "reserve").exists()
    acknowledged: list[str] = []
    refused: list[tuple[int, str]] = []
    is_over, is_told = asyncio.Event(), asyncio.Event()

    async def keep_submitting(lane: int) -> None:
        for number in range(100_000):
            if is_over.is_set():
                return
            status, content = await try_submit(live, f"d-{lane}-{number}")
            if status == 200:
                acknowledged.append(content)
            else:
                refused.append((status, content))
                await is_told.wait()

    async with asyncio.TaskGroup() as submitting:
        for lane in range(4):
            submitting.create_task(keep_submitting(lane))
        await eventually(lambda: len(acknowledged) > 40)
        disk.fill()
        await told(live, "the disk under the log is full: 0.0 of", "the log cannot be written")
        assert await try_submit(live, "refused-at-once") == (507, "INSUFFICIENT_STORAGE")
        disk.empty()
        await live.healthy()
        is_told.set()
        before = len(acknowledged)
        await eventually(lambda: len(acknowledged) > before + 20)
        is_over.set()
    await has_each(live, acknowledged)
    await live.deploy(hello("afterwards"))


async def test_a_broker_that_failed_to_write_is_started_again_once_there_is_room(live, make_disk):
    """It would refuse that stream until then, and answer everything else as if nothing were wrong."""
    live.environment["SPECSTREAM_DISK_RESERVE_MIB"] = "0"
    disk = make_disk(live.home / "nats", mib=48)
    await live.start_and_wait()
    acknowledged = [await live.deploy(hello("was-there"))]
    disk.fill()
    sequences = await append_until_a_write_fails(live)
    assert await try_submit(live, "refused-at-once") == (507, "INSUFFICIENT_STORAGE")
    # Nothing gets better before there is room, so nothing is tried in a loop.
    with suppress(AssertionError):
        await eventually(lambda: starts_of_nats(live) > 1, within_s=3)
    assert starts_of_nats(live) == 1
    disk.empty()
    await eventually(lambda: starts_of_nats(live) > 1)
    assert "starting nats again, so that it writes again" in live.output
    await live.healthy()
    acknowledged.append(await live.deploy(hello("afterwards")))
    assert starts_of_nats(live) == 2
    assert set(sequences) <= {event["sequence"] for event in await live.events()}
    await has_each(live, acknowledged)


async def append_until_a_write_fails(live: LivePlatform) -> list[int]:
    """Single events, as services append them; the sequences of those that were acknowledged.

    An append that is not answered says little: the broker may only be slow. So health is asked as well.
    """
    client = await nats.connect(
        f"nats://127.0.0.1:{live.ports()['nats']}",
        nkeys_seed=str(live.home / "nats" / "provision.nk"),
        inbox_prefix=b"_INBOX_provision",
    )
    log = JetStreamLog(client, source="specstream/api", deadline_s=3)
    sequences = []

    async def has_failed() -> bool:
        name = Aggregate("default", "name", new_id())
        draft = Draft(name, NameReleased(parent="default", name=name.id, owner_id=name.id))
        with suppress(LogUnavailable):
            sequences.append((await log.append([draft], heads={}, cause=Cause("test", "test"))).sequence)
            return False
        return "no space left on device" in await problem_of(live)

    try:
        await eventually(has_failed)
    finally:
        await client.close()
    return sequences


@pytest.mark.parametrize("reserve_mib", [RESERVE_MIB, 0])
async def test_up_on_a_full_disk(live, make_disk, reserve_mib):
    """With a reserve it comes up; without one NATS waits for room, because started twice on a full disk it
    would leave half of a batch in the log."""
    live.environment["SPECSTREAM_DISK_RESERVE_MIB"] = str(reserve_mib)
    disk = make_disk(live.home / "nats", mib=48)
    await live.start_and_wait()
    deployment_id = await live.deploy(hello("was-there"))
    for program in ("supervisor", "nats", "api"):
        live.send(program)
    disk.fill()
    if reserve_mib:
        live.start()
        await told(live, "nothing new is accepted".capitalize())
        await live.delete(deployment_id)
        await live.gone(deployment_id)
    else:
        await live.start_until("nats waits for room under the log")
        assert not live.pid("nats")
    disk.empty()
    await live.healthy()
    await has_each(live, [deployment_id])
