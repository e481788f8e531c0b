"""Entries on a JetStream stream that keeps one message for each subject; `provision` has made it."""

import asyncio

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from libs.common.bus.broker_errors import BrokerError
from libs.common.bus.entries import Entry, Replaced
from libs.common.clock import Ticks, monotonic
from libs.common.errors import LogUnavailable
from libs.common.ids import new_id

_PAUSE_S = 0.05


class JetStreamEntries:
    """An `Entries` over a connected client, which it shares and never closes.

    root: the first token of the stream's subjects; the key is the second.
    deadline_s: how long an unknown outcome is cleared up. attempt_s: how long one answer is waited for.
    """

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
        self._jetstream = client.jetstream(timeout=attempt_s)
        self._stream = stream
        self._root = root
        self._deadline_s = deadline_s
        self._attempt_s = attempt_s
        self._ticks = ticks

    async def get(self, key: str) -> Entry | None:
        until = self._ticks() + self._deadline_s
        while True:
            try:
                found = await self._newest(key)
                return Entry(found.seq or 0, found.data or b"") if found else None
            except (NatsError, TimeoutError) as error:
                await self._pause(until, f"an entry could not be read: {error!r}", error)

    async def put(self, key: str, data: bytes, *, after: int) -> int:
        """The same bytes under the same condition until there is a definite answer, known by their id."""
        message_id = new_id()
        until = self._ticks() + self._deadline_s
        while True:
            try:
                return await self._attempt(key, data, message_id, after=after)
            except MaxPayloadError as error:
                raise ValueError(f"{len(data)} bytes for an entry are more than the broker takes") from error
            except APIError as error:
                if error.err_code in {BrokerError.WRONG_SEQUENCE, BrokerError.WRONG_SEQUENCE_IN_FLIGHT}:
                    if (sequence := await self._own(key, message_id, until)) is not None:
                        return sequence
                    if error.err_code == BrokerError.WRONG_SEQUENCE:
                        raise Replaced(f"the entry {key} is no longer the one that was read") from error
                elif (error.code or 0) < 500:
                    raise LogUnavailable(
                        f"the stream {self._stream} refused an entry: {error.description}"
                    ) from error
                await self._pause(until, f"whether an entry is stored is unknown: {error!r}", error)
            except (NatsError, TimeoutError) as error:
                await self._pause(until, f"whether an entry is stored is unknown: {error!r}", error)

    async def _attempt(self, key: str, data: bytes, message_id: str, *, after: int) -> int:
        ack = await self._jetstream.publish(
            f"{self._root}.{key}",
            data,
            timeout=self._attempt_s,
            stream=self._stream,
            headers={
                api.Header.MSG_ID: message_id,
                api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(after),
            },
        )
        return ack.seq

    async def _own(self, key: str, message_id: str, until: float) -> int | None:
        """The sequence of what an earlier attempt has stored; None when the newest is another's."""
        while True:
            try:
                found = await self._newest(key)
            except (NatsError, TimeoutError) as error:
                await self._pause(until, f"whether an entry is stored is unknown: {error!r}", error)
                continue
            is_own = found is not None and (found.headers or {}).get(api.Header.MSG_ID) == message_id
            return found.seq if found and is_own else None

    async def _newest(self, key: str) -> api.RawStreamMsg | None:
        """From the stream's leader: a follower may be a little behind."""
        try:
            return await self._jetstream.get_last_msg(self._stream, f"{self._root}.{key}")
        except NotFoundError as error:
            if error.err_code == BrokerError.NO_MESSAGE:
                return None
            raise

    async def _pause(self, until: float, problem: str, error: Exception) -> None:
        if self._ticks() >= until:
            raise LogUnavailable(f"{problem}; a denied permission looks the same") from error
        await asyncio.sleep(_PAUSE_S)
