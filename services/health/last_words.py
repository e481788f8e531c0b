"""Keeping the last that replicas wrote, where the cluster forgets it with them.

After each end of a process, and from the moment that a replica is to end until it has, its last lines go to
the tails of its deployment, which are deleted with it. It is best effort: it has a time limit, nothing waits
for it, and what fails is said there and in the log of the service. What is kept twice is there once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from libs.common.cluster.port import Cluster, LastWords, ObservedReplica, ObservedWorkload, ReplicaPhase
from libs.common.errors import SpecstreamError
from libs.common.events.replica import ReplicaReason
from libs.common.tails.port import Tails
from libs.common.tails.tail import MOST_BYTES, MOST_REPLICAS, Tail, TailLine

logger = structlog.get_logger()

AT_ONCE: Final = 128
"""Replicas that are read or followed, each with a connection of its own; of a deployment as many as are kept
of it."""
TAKES_S: Final = 60.0
"""For so long what could not be read or kept is tried again, besides the time in which a replica ends."""
SWEEP_S: Final = 600.0
"""Between two looks for what is kept of deployments that are not there any more."""
RETRY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Due:
    """ended: how many of its processes have. is_ending: whether it is to end for good. is_lost: whether its
    node does not answer."""

    ended: int = 0
    is_ending: bool = False
    is_lost: bool = False


NOTHING: Final = Due()


def due(replica: ObservedReplica) -> Due:
    """What there is to keep of it. Pure."""
    return Due(
        ended=replica.attempt + (replica.phase is ReplicaPhase.EXITED),
        is_ending=replica.phase is ReplicaPhase.STOPPING,
        is_lost=replica.reason is ReplicaReason.NODE_LOST,
    )


class LastWordsKeeper:
    """exists: whether a deployment is there and is not deleted. ends_within_s: how long a replica that is to
    end is followed."""

    def __init__(
        self,
        cluster: Cluster,
        tails: Tails,
        *,
        exists: Callable[[str], bool],
        ends_within_s: float,
        retry_s: float = RETRY_S,
    ) -> None:
        self._cluster = cluster
        self._tails = tails
        self._exists = exists
        self._ends_within_s = ends_within_s
        self._retry_s = retry_s
        self._seen: dict[str, dict[str, Due]] = {}
        """By deployment and replica."""
        self._wanted: dict[tuple[str, str], Due] = {}
        """What there is to keep of the replicas that are read or followed now."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._kept_of: set[str] = set()
        """Deployments that have tails."""
        self._is_deleted = asyncio.Event()
        """Whether one of them is."""

    def take(self, deployment_id: str, workload: ObservedWorkload | None) -> None:
        """The cluster shows this of a deployment. Returns at once."""
        before = self._seen.pop(deployment_id, {})
        if not self._exists(deployment_id):
            if deployment_id in self._kept_of:
                self._is_deleted.set()
            return
        now = {replica.replica_id: due(replica) for replica in (workload.replicas if workload else ())}
        for replica_id, is_due in now.items():
            if is_due not in (before.get(replica_id, NOTHING), NOTHING):
                self._begin(deployment_id, replica_id, is_due)
        if now:
            self._seen[deployment_id] = now

    async def run(self) -> None:
        """Deletes what is kept of deployments that are gone. Never returns; ends what it does when it is
        cancelled."""
        try:
            while True:
                pause_s = SWEEP_S if await self._forget_gone() else self._retry_s
                try:
                    async with asyncio.timeout(pause_s):
                        await self._is_deleted.wait()
                except TimeoutError:
                    continue
        finally:
            for task in self._tasks:
                task.cancel()

    async def _forget_gone(self) -> bool:
        self._is_deleted.clear()
        try:
            self._kept_of |= await self._tails.deployment_ids()
            for deployment_id in sorted(self._kept_of):
                if not self._exists(deployment_id):
                    await self._tails.forget(deployment_id)
                    self._kept_of.discard(deployment_id)
        except SpecstreamError as error:
            logger.warning("what deleted deployments wrote is not deleted yet", error=str(error))
            return False
        return True

    def _begin(self, deployment_id: str, replica_id: str, is_due: Due) -> None:
        key = deployment_id, replica_id
        is_at_it = key in self._wanted
        if not is_at_it and Counter(each for each, _ in self._wanted)[deployment_id] >= MOST_REPLICAS:
            return  # no more are kept of it
        self._wanted[key] = is_due
        if not is_at_it:
            task = asyncio.create_task(self._keep_all(deployment_id, replica_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _keep_all(self, deployment_id: str, replica_id: str) -> None:
        """Until nothing more is to be kept of it."""
        key = deployment_id, replica_id
        try:
            done = NOTHING
            while (wanted := self._wanted[key]) != done:
                async with self._slots:
                    await self._keep_within_time(deployment_id, replica_id, wanted)
                done = wanted
        finally:
            del self._wanted[key]

    async def _keep_within_time(self, deployment_id: str, replica_id: str, wanted: Due) -> None:
        ends_within_s = self._ends_within_s if wanted.is_ending else 0.0
        failed = ""
        try:
            async with asyncio.timeout(ends_within_s + TAKES_S):
                while True:
                    try:
                        failed = ""
                        async for words in self._cluster.last_words(
                            deployment_id, replica_id, most_bytes=MOST_BYTES, ends_within_s=ends_within_s
                        ):
                            failed = words.problem
                            await self._keep(deployment_id, _tail(replica_id, words))
                        if not failed or wanted.is_lost:
                            return
                    except SpecstreamError as error:
                        failed = str(error)
                    if self._wanted[deployment_id, replica_id] != wanted:
                        return  # there is more to keep by now
                    await asyncio.sleep(self._retry_s)
        except TimeoutError:
            logger.warning(
                "what a replica wrote last is not kept",
                deployment_id=deployment_id,
                replica_id=replica_id,
                error=failed or "it takes too long",
            )

    async def _keep(self, deployment_id: str, tail: Tail) -> None:
        """Until the broker has it: there is nothing to read it from again, perhaps."""
        while self._exists(deployment_id) and (tail.lines or tail.problem):
            try:
                await self._tails.keep(deployment_id, tail)
            except SpecstreamError as error:
                logger.info("a tail is kept later", deployment_id=deployment_id, error=str(error))
                await asyncio.sleep(self._retry_s)
                continue
            self._kept_of.add(deployment_id)
            if not self._exists(deployment_id):
                self._is_deleted.set()
            return


def _tail(replica_id: str, words: LastWords) -> Tail:
    lines = tuple(TailLine(line.id, line.message, line.written_at) for line in words.lines)
    return Tail(replica_id, lines, words.problem)
