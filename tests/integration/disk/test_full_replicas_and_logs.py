"""The disk under the replicas, or under the services' logs, is full alone: who goes on, what is told, what is
made up for once there is room."""

from libs.common.cluster.local import spare
from tests.support.live_platform import hello
from tests.support.polling import eventually


async def test_replicas_on_a_full_disk_go_on_can_be_ended_and_new_ones_come_once_there_is_room(
    live, make_disk
):
    disk = make_disk(live.home / "replicas", mib=32)
    reserve = live.home / "replicas" / spare.NAME
    await live.start_and_wait()
    served, unwanted = await live.deploy(hello("served")), await live.deploy(hello("unwanted"))
    assert reserve.stat().st_size == spare.SIZE
    disk.fill()
    waiting = await live.submit(hello("waiting"))

    async def is_told() -> bool:
        return "No space left" in (await live.http.get("/health")).text

    await eventually(is_told)
    async with live.calling(served) as caller:
        await live.delete(unwanted)
        await live.gone(unwanted)
    assert caller.served
    assert not caller.failures()
    assert not reserve.exists()
    disk.empty()
    await live.settled(waiting)
    await live.healthy()
    await eventually(reserve.exists)
    disk.fill()
    await live.stop()


async def test_services_whose_logs_cannot_be_written_work_and_come_back(live, make_disk):
    disk = make_disk(live.home / "logs", mib=16)
    await live.start_and_wait()
    disk.fill()
    await live.deploy(hello("unlogged"))
    live.send("reconciler")
    await live.deploy(hello("after-a-death"))
    disk.empty()
    written = (live.home / "logs" / "reconciler.log").stat().st_size
    await live.deploy(hello("logged"))
    await eventually(lambda: (live.home / "logs" / "reconciler.log").stat().st_size > written)
