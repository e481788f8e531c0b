"""Slots are shared fairly, whoever hangs for how long."""

import asyncio

from services.health.slots import Slots
from tests.support.polling import PATIENCE_S, eventually, let_others_run


class Hanging:
    """Attempts that never end by themselves."""

    def __init__(self, slots: Slots, deployment_id: str, number: int) -> None:
        self.begun = 0
        self.now = 0
        self.tasks = [asyncio.ensure_future(slots.run(deployment_id, self._hang)) for _ in range(number)]

    async def _hang(self) -> None:
        self.begun += 1
        self.now += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.now -= 1

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_one_alone_has_all_of_them() -> None:
    slots = Slots(8)
    hanging = Hanging(slots, "hog", 20)
    await eventually(lambda: hanging.now == 8)
    await hanging.stop()
    assert hanging.now == 0
    others = Hanging(slots, "other", 20)
    await eventually(lambda: others.now == 8)
    await others.stop()


async def test_a_newcomer_gets_its_slot_at_once_and_gives_it_back() -> None:
    slots = Slots(8)
    hog = Hanging(slots, "hog", 20)
    await eventually(lambda: hog.now == 8)

    async def quick() -> str:
        return "done"

    for _ in range(50):
        async with asyncio.timeout(PATIENCE_S):
            assert await slots.run("neighbour", quick) == "done"
        await eventually(lambda: hog.now == 8)
    assert not any(task.done() for task in hog.tasks)
    await hog.stop()


async def test_the_youngest_gives_way() -> None:
    slots = Slots(2)
    begun: list[str] = []

    async def attempt(name: str) -> None:
        begun.append(name)
        await asyncio.Event().wait()

    tasks = []
    for name in ("old", "young"):
        tasks.append(asyncio.ensure_future(slots.run("hog", lambda name=name: attempt(name))))
        await let_others_run()
    tasks.append(asyncio.ensure_future(slots.run("neighbour", lambda: attempt("neighbour"))))
    await eventually(lambda: begun == ["old", "young", "neighbour"])
    tasks[-1].cancel()
    await eventually(lambda: begun == ["old", "young", "neighbour", "young"])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_that_hang_end_with_equal_shares() -> None:
    slots = Slots(12)
    hogs = [Hanging(slots, f"hog-{number}", 12) for number in range(4)]
    await eventually(lambda: [hog.now for hog in hogs] == [3, 3, 3, 3])
    for hog in hogs:
        await hog.stop()


async def test_more_deployments_than_slots_take_turns() -> None:
    slots = Slots(2)
    done: list[int] = []

    async def attempt(number: int) -> None:
        await let_others_run(1)
        done.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(slots.run(f"d{number}", lambda number=number: attempt(number)))
    assert sorted(done) == list(range(100))


async def test_a_cancelled_one_leaves_nothing_behind() -> None:
    slots = Slots(1)
    hog = Hanging(slots, "hog", 3)
    await eventually(lambda: hog.now == 1)
    hog.tasks[0].cancel()
    await eventually(lambda: hog.now == 1 and hog.begun == 2)
    hog.tasks[2].cancel()
    await let_others_run()
    hog.tasks[1].cancel()
    await asyncio.gather(*hog.tasks, return_exceptions=True)
    after = Hanging(slots, "after", 1)
    await eventually(lambda: after.now == 1)
    await after.stop()


async def test_a_failing_attempt_gives_its_slot_back() -> None:
    slots = Slots(1)

    async def fail() -> None:
        raise ValueError("no")

    for _ in range(3):
        result = await asyncio.gather(slots.run("d", fail), return_exceptions=True)
        assert isinstance(result[0], ValueError)
