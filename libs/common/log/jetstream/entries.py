"""Entries of a JetStream stream, of which many are read with one question."""

from collections.abc import Collection, Mapping

from nats.aio.client import Client

from libs.common.bus.entries import MOST_AT_ONCE, Entry
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.clock import Ticks, monotonic
from libs.common.log.jetstream.direct_get import DirectGet
from libs.common.log.jetstream.link import Link


class JetStreamManyEntries(JetStreamEntries):
    """A `ManyEntries` over a connected client, which it shares and never closes."""

    def __init__(
        self,
        client: Client,
        *,
        stream: str,
        root: str,
        deadline_s: float = 20.0,
        attempt_s: float = 2.0,
        ticks: Ticks = monotonic,
    ) -> None:
        super().__init__(
            client, stream=stream, root=root, deadline_s=deadline_s, attempt_s=attempt_s, ticks=ticks
        )
        link = Link(client, ticks=ticks)
        self._direct = DirectGet(link, stream, deadline_s=deadline_s, attempt_s=attempt_s)

    async def get_many(self, keys: Collection[str]) -> Mapping[str, Entry]:
        if len(keys) > MOST_AT_ONCE:
            raise ValueError(f"{len(keys)} keys at once: at most {MOST_AT_ONCE}")
        if not keys:
            return {}
        found = await self._direct.newest(tuple(f"{self._root}.{key}" for key in keys))
        return {one.subject.removeprefix(f"{self._root}."): Entry(one.sequence, one.data) for one in found}
