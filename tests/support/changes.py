"""What clients ask of a platform while something is wrong: some deployments, of which one is called."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

from libs.common.cluster.kubernetes import names
from tests.support.course import Course
from tests.support.on_kubernetes import shown

MOST_OTHERS = 4
MOST_REPLICAS = 3


class Changes:
    """called: the deployment that clients call. others: the oldest one first."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.called = ""
        self.others: list[str] = []
        self._numbers = itertools.count(1)
        self._may_end_called = True

    async def prepare(self) -> None:
        """There is something to change, and it is at rest."""
        if not self.called:
            self.called = await self.course.submit("called", replicas=2, VERSION="0")
        while len(self.others) < 2:
            await self.create()
        self._may_end_called = True
        await self.course.begin()

    async def ask(self) -> None:
        """One is changed, one created, one scaled up, and one deleted."""
        await self.update()
        await self.create()
        await self.course.scale(self.others[1], 2)
        await self.delete(self.others[0])

    async def ask_by_chance(self, rng: random.Random) -> str:
        """What was asked. Only one pod of the deployment that is called is deleted: two may be all that it
        has."""
        may_create, may_delete = len(self.others) < MOST_OTHERS, len(self.others) > 1
        other = rng.choice(self.others)
        possible: dict[str, Callable[[], Awaitable[None]]] = {
            "update": self.update,
            "scale": lambda: self.course.scale(other, rng.randint(1, MOST_REPLICAS)),
            "delete a pod": lambda: self._delete_pod(other, rng),
            **({"delete a called pod": lambda: self._delete_called_pod(rng)} if self._may_end_called else {}),
            **({"create": self.create} if may_create else {}),
            **({"delete": lambda: self.delete(other)} if may_delete else {}),
        }
        name = rng.choice(list(possible))
        await possible[name]()
        return name

    async def update(self) -> None:
        await self.course.submit("called", replicas=2, VERSION=str(next(self._numbers)))

    async def create(self) -> None:
        name = f"other-{next(self._numbers)}"
        self.others.append(await self.course.submit(name, replicas=1, VERSION="1"))

    async def delete(self, deployment_id: str) -> None:
        self.others.remove(deployment_id)
        await self.course.delete(deployment_id)

    async def _delete_called_pod(self, rng: random.Random) -> None:
        self._may_end_called = False
        await self._delete_pod(self.called, rng)

    async def _delete_pod(self, deployment_id: str, rng: random.Random) -> None:
        """By hand, as people do who know nothing of us."""
        platform = self.course.platform
        if of := sorted(await shown(platform, deployment_id)):
            path = f"/api/v1/namespaces/{platform.namespace}/pods/{names.pod_name(rng.choice(of))}"
            await asyncio.to_thread(platform.client.ask, "DELETE", path)
