"""Reading what replicas wrote, as the API server hands it on from their kubelets.

Whoever only reads logs watches nothing, so which replicas there are is asked of the server each time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.anchor_object import parse_anchor
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.last_lines import LastLines
from libs.common.cluster.kubernetes.log_parts import HELD, Part
from libs.common.cluster.kubernetes.log_sources import Source, Unread, first_lines, unreadable
from libs.common.cluster.kubernetes.logs import check_id, second_of, since
from libs.common.cluster.kubernetes.pods import Pod, parse
from libs.common.cluster.kubernetes.refusals import Forbidden, NotThere, Unauthorized
from libs.common.cluster.kubernetes.writer import ANCHORS, PODS
from libs.common.cluster.port import LastWords, LogLine, LogPage, UnreadableLog, last_of
from libs.common.errors import CannotApply, ClusterUnavailable

READ_S: Final = 5.0
"""In which a kubelet has to answer: one that does not must not hold up the lines of the others."""
_ALWAYS: Final = {"timestamps": "true", "container": names.CONTAINER}


class LogReader:
    def __init__(self, client: Client, *, read_s: float = READ_S) -> None:
        self._client = client
        self._read_s = read_s

    async def page(
        self, deployment_id: str, *, limit: int, replica_id: str | None, after: str | None, newest_first: bool
    ) -> LogPage:
        """See `Cluster.logs`. Raises ClusterUnavailable."""
        if after is not None:
            check_id(after)
        found = await self._pods(deployment_id, replica_id)
        lost = [UnreadableLog(pod.replica_id, _silent(pod)) for pod in found if pod.is_lost]
        sources = [
            Source(pod.replica_id, self._parts(pod), after=after, newest_first=newest_first)
            for pod in found
            if not pod.is_lost
        ]
        lines = await first_lines(sources, limit + 1, newest_first=newest_first)
        not_read = (*lost, *unreadable(sources))
        return LogPage(
            tuple(lines[:limit]),
            has_more=len(lines) > limit,
            unreadable=not_read,
            read=frozenset(pod.replica_id for pod in found) - {one.replica_id for one in not_read},
            after_at=None if after is None else second_of(after),
        )

    async def last_words(
        self, deployment_id: str, replica_id: str, *, most_bytes: int, ends_within_s: float
    ) -> AsyncIterator[LastWords]:
        """See `Cluster.last_words`."""
        for pod in await self._pods(deployment_id, replica_id):
            if pod.is_lost:
                yield LastWords(problem=_silent(pod))
                return
            try:
                lines = await self._end_of(pod, most_bytes)
                yield LastWords(lines)
                if ends_within_s:
                    yield LastWords(
                        await self._until_ended(pod, lines, most_bytes=most_bytes, within_s=ends_within_s)
                    )
            except Unread as error:
                yield LastWords(problem=str(error))

    async def _end_of(self, pod: Pod, most_bytes: int) -> tuple[LogLine, ...]:
        """Its present process first: where another one begins meanwhile, it is then the one before."""
        known: dict[str, LogLine] = {}
        last: tuple[LogLine, ...] = ()
        for part in reversed(self._parts(pod)):
            known |= {line.id: line for line in await part.end(most_bytes)}
            last = last_of((known[each] for each in sorted(known)), most_bytes)
            if len(last) < len(known):
                break
        return last

    async def _until_ended(
        self, pod: Pod, before: Sequence[LogLine], *, most_bytes: int, within_s: float
    ) -> tuple[LogLine, ...]:
        """The last of what it wrote before, oldest first, and writes until its process has ended, its node is
        silent or time is up."""
        begin = {"sinceTime": since(second_of(before[-1].id))} if before else {}
        last = LastLines(pod.replica_id, HELD * most_bytes)
        with suppress(TimeoutError, ClusterUnavailable, NotThere, CannotApply):
            async with asyncio.timeout(within_s):
                async for piece in self._client.follow_log(pod.name, {**_ALWAYS, **begin}):
                    last.take(piece)
        followed = last.end()
        # What was let go meanwhile came behind whatever was known before.
        known = {line.id: line for line in (*(before if last.is_all else ()), *followed)}
        return last_of((known[each] for each in sorted(known)), most_bytes)

    async def _pods(self, deployment_id: str, replica_id: str | None) -> list[Pod]:
        """Those of the replicas that have a node, and so may have written something."""
        try:
            held = parse_anchor(await self._client.get(ANCHORS, names.anchor_name(deployment_id)))
        except NotThere:
            return []
        listed = {one.replica_id for one in held.anchor.replicas} if held.anchor is not None else set()
        found = await (
            self._all_pods(deployment_id) if replica_id is None else self._one_pod(replica_id, listed)
        )
        return [pod for pod in found if pod.replica_id in listed and pod.owner_uid == held.uid and pod.node]

    async def _all_pods(self, deployment_id: str) -> list[Pod]:
        of_deployment = f"{names.selector(names.REPLICAS)},{names.DEPLOYMENT}={deployment_id}"
        return [parse(raw) for raw in (await self._client.list(PODS, of_deployment))[0]]

    async def _one_pod(self, replica_id: str, listed: set[str]) -> list[Pod]:
        if replica_id not in listed:
            return []
        try:
            return [parse(await self._client.get(PODS, names.pod_name(replica_id)))]
        except NotThere:
            return []

    def _parts(self, pod: Pod) -> list[Part]:
        """The log of the process before, where there was one, and that of the present one. One that has ended
        may be the one before by now: its kubelet starts another one before it says so."""
        has_before = pod.container.restarts or pod.container.state == "terminated"
        before = [self._part(pod, is_before=True)] if has_before else []
        return [*before, self._part(pod, is_before=False)]

    def _part(self, pod: Pod, *, is_before: bool) -> Part:
        which = {**_ALWAYS, "previous": str(is_before).lower()}

        async def read(query: Mapping[str, str], take: Callable[[bytes], object]) -> None:
            try:
                async with asyncio.timeout(self._read_s):
                    async for piece in self._client.log(pod.name, {**which, **query}):
                        take(piece)
            except (NotThere, CannotApply):  # it is gone by now, or has no container yet
                return
            except TimeoutError as error:
                said = f"does not answer within {self._read_s:g} s"
                raise Unread(f"its log cannot be read: its node {pod.node} {said}") from error
            except (Forbidden, Unauthorized):
                raise
            except ClusterUnavailable as error:
                raise Unread(f"its log cannot be read from its node {pod.node}: {error}") from error

        has_ended = is_before or pod.container.state != "running"
        return Part(read, pod.replica_id, has_ended=has_ended, created_at=pod.created_at)


def _silent(pod: Pod) -> str:
    return f"its log cannot be read: its node {pod.node} does not answer"
