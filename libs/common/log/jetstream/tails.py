"""Tails on JetStream; `provision` has made the stream.

A deployment has a few subjects, each of which keeps the newest message: as many replicas as subjects. Whoever
writes one states which message it replaces, so two that write at once do so one after the other, and
lines are known by their ids; so it may be written as often as one likes.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import APIError

from libs.common.bus import subjects
from libs.common.bus.broker_errors import BrokerError
from libs.common.clock import Ticks, monotonic
from libs.common.errors import LogUnavailable
from libs.common.log.jetstream.direct_get import DirectGet
from libs.common.log.jetstream.found import Found
from libs.common.log.jetstream.link import Link, status
from libs.common.tails.tail import MOST_REPLICAS, Tail, decode, encode, join, slot_of

STREAM: Final = subjects.TAILS_STREAM
REPLICA: Final = "Specstream-Replica"
"""Header: of which replica it is."""
_PAUSE_S: Final = 0.05
_DELETED_FOR: Final = "1s"
"""So long nothing stands where a tail was deleted."""


class JetStreamTails:
    """A `Tails` over a connected client, which it shares and never closes."""

    def __init__(
        self, client: Client, *, deadline_s: float = 5.0, attempt_s: float = 2.0, ticks: Ticks = monotonic
    ) -> None:
        self._link = Link(client, ticks=ticks)
        self._get = DirectGet(self._link, STREAM, deadline_s=deadline_s, attempt_s=attempt_s)
        self._jetstream = client.jetstream(timeout=attempt_s)
        self._deadline_s = deadline_s
        self._attempt_s = attempt_s
        self._ticks = ticks

    async def keep(self, deployment_id: str, tail: Tail) -> None:
        until = self._ticks() + self._deadline_s
        while True:
            held = await self._held(deployment_id)
            owners = {_slot(one): (one.sequence, one.headers.get(REPLICA, "")) for one in held if one.data}
            slot = slot_of(tail.replica_id, owners)
            present = next((found for found in held if _slot(found) == slot), None)
            is_ours = present is not None and present.headers.get(REPLICA) == tail.replica_id
            before = decode(present.data) if present is not None and is_ours else None
            joined = join(before, tail)
            if joined == before:
                return
            headers = {REPLICA: tail.replica_id}
            if await self._replace(deployment_id, slot, present, encode(joined), headers, until=until):
                return
            await asyncio.sleep(_PAUSE_S)

    async def _replace(
        self,
        deployment_id: str,
        slot: int,
        present: Found | None,
        data: bytes,
        headers: dict[str, str],
        *,
        until: float,
    ) -> bool:
        """False when somebody else was quicker, or the outcome is unknown and there is time."""
        replaced = str(present.sequence if present is not None else 0)
        try:
            await self._jetstream.publish(
                subjects.tail(deployment_id, slot),
                data,
                timeout=self._attempt_s,
                stream=STREAM,
                headers={**headers, api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE: replaced},
            )
        except (NatsError, TimeoutError) as error:
            was_quicker = isinstance(error, APIError) and error.err_code in {
                BrokerError.WRONG_SEQUENCE,
                BrokerError.WRONG_SEQUENCE_IN_FLIGHT,
            }
            if self._ticks() >= until or (isinstance(error, APIError) and not was_quicker):
                raise LogUnavailable(f"{STREAM} did not take a tail: {error!r}") from error
            return False
        return True

    async def read(self, deployment_id: str, *, since: datetime | None = None) -> Sequence[Tail]:
        tails = (decode(found.data) for found in await self._held(deployment_id, since) if found.data)
        return [tail for tail in tails if tail is not None]

    async def deployment_ids(self) -> frozenset[str]:
        found: set[str] = set()
        offset = 0
        while True:
            asked = {"subjects_filter": subjects.tail("*", "*"), "offset": offset}
            answer = await self._ask(asked)
            names = (answer["state"].get("subjects") or {}).keys()
            found |= {name.split(".")[1] for name in names}
            offset += len(names)
            if not names or offset >= answer.get("total", 0):
                return frozenset(found)

    async def forget(self, deployment_id: str) -> None:
        until = self._ticks() + self._deadline_s
        headers = {api.Header.MSG_TTL.value: _DELETED_FOR}
        while left := [found for found in await self._held(deployment_id) if found.data]:
            for found in left:
                await self._replace(deployment_id, _slot(found), found, b"", headers, until=until)

    async def _held(self, deployment_id: str, since: datetime | None = None) -> list[Found]:
        subject = subjects.tail(deployment_id, "*")
        if since is None:
            page = await self._get.after(subject, 0, at_most=MOST_REPLICAS)
        else:
            page = await self._get.since(subject, since, at_most=MOST_REPLICAS)
        return page.found

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The stream's information."""
        subject = f"$JS.API.STREAM.INFO.{STREAM}"
        await self._link.connected(until=self._ticks() + self._deadline_s)
        message = await self._link.request(subject, json.dumps(request).encode(), timeout_s=self._attempt_s)
        answer: dict[str, Any] = json.loads(message.data) if message and status(message) is None else {}
        if "state" not in answer:
            problem = answer.get("error", {}).get("description", "no answer")
            raise LogUnavailable(f"{STREAM} cannot be asked what it has: {problem}")
        return answer


def _slot(found: Found) -> int:
    return int(found.subject.rpartition(".")[2])
