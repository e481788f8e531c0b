"""Storing messages: an append is sent until its outcome is known."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

from nats.aio.msg import Msg

from libs.common.back_off import BackOff
from libs.common.bus.broker_errors import BrokerError
from libs.common.errors import AppendConflict, LogUnavailable
from libs.common.events.envelope import append_subject
from libs.common.ids import new_id
from libs.common.log import wire
from libs.common.log.jetstream.direct_get import DirectGet
from libs.common.log.jetstream.found import Found
from libs.common.log.jetstream.link import Link, status
from libs.common.log.jetstream.standing import Standing
from libs.common.log.port import Head, Stored
from libs.common.log.sealing import Sealed

EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
EXPECTED_LAST = "Nats-Expected-Last-Sequence"

TRY_AGAIN = frozenset(
    {BrokerError.DUPLICATE_IN_FLIGHT, BrokerError.BATCH_INCOMPLETE, BrokerError.TOO_MANY_BATCHES}
)

MAX_OPEN_BATCHES = 8
"""Of one process: the broker takes 50 over all of them, and there are five services."""

_OFFERED_AT_ONCE = 10
"""Messages; then others have their turn: each takes about 60 us."""

_SENT_AT_ONCE = 50
"""Messages of a batch: to hand some to the kernel costs as much as to make ten."""

_PAUSES = BackOff(0.005, 0.5)


class Outgoing(NamedTuple):
    """subject: the one it is stored under."""

    subject: str
    headers: dict[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """sequence: of the last message. is_duplicate: its id was known, so nothing was stored now."""

    sequence: int
    is_duplicate: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    code: int
    err_code: int
    description: str


Answer = Ack | Refusal | None
"""None: none came, so the messages may be stored or not."""


WhatIsStored = Callable[[Answer], Awaitable[list[Head] | None]]
"""Where the messages of an append lie, if an earlier attempt stored them; given the answer that asks."""


class Appender:
    """Sends, and sends again, until there is a definite answer or `deadline_s` has passed."""

    def __init__(
        self, link: Link, reader: DirectGet, standing: Standing, *, deadline_s: float, attempt_s: float
    ) -> None:
        self._link = link
        self._reader = reader
        self._standing = standing
        self._deadline_s = deadline_s
        self._attempt_s = attempt_s
        self._open_batches = asyncio.Semaphore(MAX_OPEN_BATCHES)
        self._restoring = asyncio.Lock()

    async def append(self, sealed: Sequence[Sealed]) -> list[Head]:
        """Where each event is stored. Raises AppendConflict, LogUnavailable, ValueError for a taken id."""

        async def what_is_stored(hint: Answer) -> list[Head] | None:
            return await self._find_appended(sealed, hint)

        last = await self._until_definite(
            [_outgoing(event) for event in sealed], what_is_stored, is_checked=True
        )
        if isinstance(last, list):
            return last
        first = last - len(sealed) + 1
        return [Head(first + place, event.hash) for place, event in enumerate(sealed)]

    async def restore(self, events: Sequence[Stored], *, until: int) -> None:
        """Store events of an export at the very same sequences. Raises AppendConflict, LogUnavailable.

        The next ones may be given while these are on their way: they are published in the order of the calls,
        and refused unless these were stored.
        """
        messages = [
            Outgoing(event.subject, wire.imported_headers(event, until=until), event.data) for event in events
        ]
        messages[0].headers[EXPECTED_LAST] = str(events[0].sequence - 1)

        async def what_is_stored(_: Answer) -> list[Head] | None:
            heads = []
            for event in (events[0], events[-1]):
                found = await self._reader.from_leader({"seq": event.sequence})
                if found is None or found.headers.get(wire.HASH) != event.headers.get(wire.HASH):
                    return None
                heads.append(Head(found.sequence, found.headers.get(wire.HASH, "")))
            return heads

        await self._until_definite(messages, what_is_stored, in_order=self._restoring)

    async def _until_definite(
        self,
        messages: Sequence[Outgoing],
        what_is_stored: WhatIsStored,
        *,
        is_checked: bool = False,
        in_order: AbstractAsyncContextManager[None] | None = None,
    ) -> int | list[Head]:
        """The sequence of the last message, or where an earlier attempt had stored them.

        is_checked: refused while the log ends inside an import, and when it is another log than before. An
        import begins in an empty log only. So while it is not known that the log is past that, the append
        asks for an empty one: whichever of the two comes first, the other is refused.
        in_order: held while the messages are published.

        | answer                            | stored by an earlier attempt | else                         |
        |-----------------------------------|------------------------------|------------------------------|
        | acknowledged                      | -                            | done                         |
        | acknowledged as a duplicate       | done                         | ValueError: the id is taken  |
        | 10201, a duplicate in the batch   | done                         | ValueError: the id is taken  |
        | 10071, a guard did not hold       | done                         | AppendConflict               |
        | 10164, a guard is being decided   | done                         | conflict, or again if one of |
        |                                   |                              | our attempts may be the one  |
        | 10210, 10176, 10158, 5xx          | -                            | again, after a while         |
        | none                              | -                            | again, at once               |
        """
        until = self._link.ticks() + self._deadline_s
        pauses = _pauses()
        may_be_under_way = False
        while True:
            await self._link.connected(until=until)
            is_first = is_checked and await self._must_be_first()
            answer = await self._attempt(_first_of_all(messages) if is_first else messages, in_order)
            match answer:
                case Ack(sequence, is_duplicate=False):
                    return sequence
                case Ack() | Refusal(err_code=BrokerError.DUPLICATE_IN_BATCH):
                    if (places := await what_is_stored(answer)) is not None:
                        return places
                    raise ValueError("an event id of this append is taken by another event")
                case (
                    Refusal(
                        err_code=BrokerError.WRONG_SEQUENCE | BrokerError.WRONG_SEQUENCE_IN_FLIGHT
                    ) as refusal
                ):
                    if (places := await what_is_stored(answer)) is not None:
                        return places
                    is_final = refusal.err_code == BrokerError.WRONG_SEQUENCE or not may_be_under_way
                    if is_final and not is_first:
                        raise AppendConflict(f"somebody appended first: {refusal.description}")
                    problem = refusal.description
                    if is_first:
                        await self._standing.check()
                    await asyncio.sleep(next(pauses))
                case Refusal(code, err_code, description):
                    if err_code not in TRY_AGAIN and code < 500:
                        raise LogUnavailable(f"the log refused an append: {err_code} {description}")
                    may_be_under_way |= code >= 500 or err_code == BrokerError.DUPLICATE_IN_FLIGHT
                    problem = description
                    await asyncio.sleep(next(pauses))
                case None:
                    may_be_under_way = True
                    problem = "no answer; a denied permission looks the same"
            if self._link.ticks() >= until:
                raise LogUnavailable(
                    f"whether an append is stored stays unknown after {self._deadline_s} s: {problem}"
                )

    async def _must_be_first(self) -> bool:
        """Raises LogReplaced."""
        await self._standing.identity()
        return not self._standing.is_known_whole

    async def _attempt(
        self, messages: Sequence[Outgoing], in_order: AbstractAsyncContextManager[None] | None
    ) -> Answer:
        done: asyncio.Future[Msg | None] = asyncio.get_running_loop().create_future()

        def on_answer(message: Msg) -> None:
            # The first message of a batch is answered too: with nothing when all is well so far.
            is_empty = not message.data and status(message) is None
            if not is_empty and not done.done():
                done.set_result(message)

        link = self._link
        reply = ""
        try:
            async with self._open_batches if len(messages) > 1 else nullcontext():
                async with in_order or nullcontext():
                    reply = await link.expect(on_answer)
                    await self._publish(messages, reply)
                return _answer(await link.wait(done, timeout_s=self._attempt_s))
        except LogUnavailable:
            if link.client.is_closed:
                raise
            return None
        finally:
            link.forget(reply)

    async def _publish(self, messages: Sequence[Outgoing], reply: str) -> None:
        if len(messages) == 1:
            await self._offer(messages[0], reply)
        else:
            await self._publish_batch(messages, reply)

    async def _publish_batch(self, messages: Sequence[Outgoing], reply: str) -> None:
        # A new id for each attempt: what is left of an earlier one must not mix with this one.
        batch_id = new_id()
        last = len(messages)
        for place, message in enumerate(messages, 1):
            batch = {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(place)}
            if place == last:
                batch["Nats-Batch-Commit"] = "1"
            await self._offer(
                message._replace(headers=message.headers | batch),
                reply if place in {1, last} else "",
                is_more_to_come=place % _SENT_AT_ONCE != 0 and place != last,
            )
            if place % _OFFERED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _offer(self, message: Outgoing, reply: str, *, is_more_to_come: bool = False) -> None:
        subject, headers, data = message
        await self._link.publish(
            append_subject(subject), data, reply=reply, headers=headers, is_more_to_come=is_more_to_come
        )

    async def _find_appended(self, sealed: Sequence[Sealed], hint: Answer) -> list[Head] | None:
        first = sealed[0]
        match hint:
            case Ack(sequence):
                found = await self._reader.from_leader({"seq": sequence})
            case Refusal(err_code=BrokerError.DUPLICATE_IN_BATCH):
                found = await self._search(first, after=0)
            case _:
                found = await self._search(first, after=first.guard.sequence if first.guard else 0)
        places = []
        for event in sealed:
            if found is None or not _is_same(found, event):
                return None
            places.append(Head(found.sequence, found.headers.get(wire.HASH, "")))
            if len(places) < len(sealed):
                found = await self._reader.from_leader({"seq": found.sequence + 1})
        return places

    async def _search(self, event: Sealed, *, after: int) -> Found | None:
        """The event itself among all that have its subject, as the leader has them.

        The newest is not enough: another writer may have appended since.
        """
        while True:
            found = await self._reader.from_leader({"seq": after + 1, "next_by_subj": event.subject})
            if found is None or _is_same(found, event):
                return found
            after = found.sequence


def _is_same(found: Found, event: Sealed) -> bool:
    return found.subject == event.subject and found.headers.get(wire.MESSAGE_ID) == event.event_id


def _outgoing(event: Sealed) -> Outgoing:
    guard = event.guard
    if guard is None:
        return Outgoing(event.subject, event.headers, event.data)
    headers = {**event.headers, EXPECTED_SEQUENCE: str(guard.sequence), EXPECTED_SUBJECT: guard.filter}
    return Outgoing(event.subject, headers, event.data)


def _first_of_all(messages: Sequence[Outgoing]) -> list[Outgoing]:
    first, *rest = messages
    return [first._replace(headers={**first.headers, EXPECTED_LAST: "0"}), *rest]


def _answer(message: Msg | None) -> Answer:
    if message is None:
        return None
    if (code := status(message)) is not None:
        return Refusal(int(code), 0, "nobody listens for events")
    answer = json.loads(message.data.decode())
    if "error" in answer:
        error = answer["error"]
        return Refusal(error.get("code", 0), error.get("err_code", 0), error.get("description", ""))
    return Ack(answer["seq"], answer.get("duplicate", False))


def _pauses() -> Iterator[float]:
    pause_s = 0.0
    while True:
        pause_s = _PAUSES.next_s(pause_s)
        yield pause_s * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, guards nothing
