"""Reading without a consumer: batched Direct Get, and the stream leader's own answer.

A Direct Get may come from a follower of the stream and be a little old, which the guard of an append makes
harmless. Where an answer has to be the newest the leader is asked.
"""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nats.aio.msg import Msg

from libs.common.bus.broker_errors import BrokerError
from libs.common.errors import LogUnavailable
from libs.common.log.filters import ALL
from libs.common.log.jetstream.found import Found, from_direct, from_leader
from libs.common.log.jetstream.link import Link, status

MAX_BYTES = 4 * 1024 * 1024
"""Of one answer; more comes with the next request."""


class TooManySubjects(Exception):
    """More than 1,024 subjects match: the broker does not answer that in one request."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of an answer. pending: how many match after it. up_to: the sequence it was taken at."""

    found: list[Found]
    pending: int
    up_to: int


class DirectGet:
    """Raises LogUnavailable when `deadline_s` has passed without a whole answer."""

    def __init__(self, link: Link, stream: str, *, deadline_s: float, attempt_s: float) -> None:
        self._link = link
        self._direct = f"$JS.API.DIRECT.GET.{stream}"
        self._leader = f"$JS.API.STREAM.MSG.GET.{stream}"
        self._deadline_s = deadline_s
        self._attempt_s = attempt_s

    async def newest(self, filters: tuple[str, ...]) -> list[Found]:
        """The newest message of each subject, in sequence order. Raises TooManySubjects."""
        return await self._newest({"multi_last": list(filters), "max_bytes": MAX_BYTES})

    async def newest_until(self, filters: tuple[str, ...], sequence: int) -> list[Found]:
        """The same as it was when the stream ended at `sequence`, which several requests can be about. Raises
        TooManySubjects where one of the filters alone matches too many."""
        try:
            return await self._newest_until(filters, sequence)
        except TooManySubjects:
            if len(filters) == 1:
                raise
        half = len(filters) // 2
        some = await self.newest_until(filters[:half], sequence)
        others = await self.newest_until(filters[half:], sequence)
        return sorted({one.sequence: one for one in (*some, *others)}.values())

    async def _newest_until(self, filters: tuple[str, ...], sequence: int) -> list[Found]:
        deadline = self._link.ticks() + self._deadline_s
        while sequence > 0:  # the broker would take 0 for no limit
            request = {"multi_last": list(filters), "max_bytes": MAX_BYTES, "up_to_seq": sequence}
            found = await self._newest(request)
            if found or await self.at(sequence) is not None:
                return found
            # That is also the answer where the stream, or only the copy that was asked, ends before that.
            newest = await self.from_leader({"last_by_subj": ALL})
            end = newest.sequence if newest else 0
            if end >= sequence:
                await self._pause(deadline, f"no copy that was asked has event {sequence} yet")
            sequence = min(sequence, end)
        return []

    async def _newest(self, request: dict[str, Any]) -> list[Found]:
        found: list[Found] = []
        while True:
            page = await self._page(request)
            found += page.found
            if page.pending == 0 or not page.found:
                return found
            # The rest as it was at the first request: one state, however many pages it takes.
            request = {**request, "seq": found[-1].sequence + 1, "up_to_seq": page.up_to}

    async def after(self, one_filter: str, sequence: int, *, at_most: int) -> Page:
        """The next messages after a sequence."""
        return await self._page(
            {"next_by_subj": one_filter, "seq": sequence + 1, "batch": at_most, "max_bytes": MAX_BYTES}
        )

    async def since(self, one_filter: str, moment: datetime, *, at_most: int) -> Page:
        """The next messages that were stored at that time or later."""
        return await self._page(
            {
                "next_by_subj": one_filter,
                "start_time": moment.isoformat(),
                "batch": at_most,
                "max_bytes": MAX_BYTES,
            }
        )

    async def at(self, sequence: int) -> Found | None:
        """The message with this very sequence."""
        page = await self._page({"seq": sequence})
        return page.found[0] if page.found else None

    async def from_leader(self, request: dict[str, Any]) -> Found | None:
        """One message as the stream's leader has it now; None where it has none."""
        until = self._link.ticks() + self._deadline_s
        payload = json.dumps(request).encode()
        while True:
            await self._link.connected(until=until)
            message = await self._link.request(self._leader, payload, timeout_s=self._attempt_s)
            answer = json.loads(message.data) if message and status(message) is None else {}
            if "message" in answer:
                return from_leader(answer["message"])
            if answer.get("error", {}).get("err_code") == BrokerError.NO_MESSAGE:
                return None
            await self._pause(until, answer.get("error", {}).get("description", "no answer"))

    async def _page(self, request: dict[str, Any]) -> Page:
        until = self._link.ticks() + self._deadline_s
        payload = json.dumps(request).encode()
        is_single = "batch" not in request and "multi_last" not in request
        while True:
            await self._link.connected(until=until)
            messages, end = await self._ask(payload, is_single=is_single)
            page = _page(messages, end, is_single=is_single)
            if page is not None:
                return page
            await self._pause(until, status(end) if end else "no answer")

    async def _pause(self, until: float, problem: str | None) -> None:
        if self._link.ticks() >= until:
            raise LogUnavailable(f"the log could not be read: {problem}; a denied permission looks the same")
        await asyncio.sleep(0.05)

    async def _ask(self, payload: bytes, *, is_single: bool) -> tuple[list[Msg], Msg | None]:
        messages: list[Msg] = []
        done: asyncio.Future[Msg | None] = asyncio.get_running_loop().create_future()

        def on_answer(message: Msg) -> None:
            if status(message) is None:
                messages.append(message)
                if not is_single:
                    return
            if not done.done():
                done.set_result(message)

        reply = await self._link.expect(on_answer)
        try:
            await self._link.publish(self._direct, payload, reply=reply)
            return messages, await self._link.wait(done, timeout_s=self._attempt_s)
        finally:
            self._link.forget(reply)


def _page(messages: list[Msg], end: Msg | None, *, is_single: bool) -> Page | None:
    """None where the answer is not whole and has to be asked for again."""
    if end is None:
        return None
    match status(end):
        case "404":
            return Page([], 0, 0)
        case "413":
            raise TooManySubjects
        case None if is_single:
            return Page([from_direct(end)], 0, 0)
        case "204":
            headers = end.headers or {}
            last = "0"
            for message in messages:
                own = message.headers or {}
                if own["Nats-Last-Sequence"] != last:
                    return None
                last = own["Nats-Sequence"]
            if headers["Nats-Last-Sequence"] != last:
                return None
            found = [from_direct(message) for message in messages]
            return Page(found, int(headers["Nats-Num-Pending"]), int(headers.get("Nats-UpTo-Sequence", "0")))
        case _:
            return None
