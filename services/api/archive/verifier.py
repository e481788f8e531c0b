"""Checks the events of a log and makes read models of them, to compare those with the ones that are shown."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from libs.common.events.envelope import Recorded
from libs.common.log import wire
from libs.common.log.head import LogHead
from libs.common.log.ledger import Ledger
from libs.common.log.port import Stored
from libs.common.log.verify import Corrupt, Verification, Verified
from services.api.readmodels.database import open_beside, position_of
from services.api.readmodels.replay import Replay

logger = structlog.get_logger()


class Verifier:
    """`with` it, in any thread, one at a time: `take` the whole log, `settle`, `replay` what is missing,
    `compare`.

    shown: the file of the read models. checkpoint: how far they were when it began. head: what the log is
    held to. folder: where what it needs lies meanwhile.
    """

    def __init__(self, shown: Path, *, checkpoint: int, head: LogHead | None, folder: Path) -> None:
        self._ledger = Ledger(folder)
        self._replay = Replay(folder)
        self._shown = shown
        self._checkpoint = checkpoint
        self._head = head
        self._until = 0
        self._unread = 0
        self._first_unread: Recorded | None = None

    def __enter__(self) -> Self:
        self._ledger.__enter__()
        self._replay.__enter__()
        self._verification = Verification(self._ledger, self._head)
        self._engine: Engine = open_beside(self._shown)
        self._connection: Connection | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()
        self._replay.__exit__(kind, error, trace)
        self._ledger.__exit__(kind, error, trace)

    @property
    def sequence(self) -> int:
        """Of the last event taken."""
        return self._verification.sequence

    def take(self, events: Sequence[Stored]) -> Corrupt | None:
        """The next events of the log. The first thing that does not hold; nothing is taken after it."""
        if corrupt := self._verification.take(events):
            return corrupt
        try:
            recorded = [_recorded(event) for event in events]
            self._replay.take([event for event in recorded if event.sequence <= self._checkpoint])
        except OperationalError:
            raise  # the database itself
        except Exception as error:
            # Whoever imports an event chooses what is in it: anything may come of that, and it is a verdict.
            logger.warning("no read models can be made of some events", exc_info=error)
            name = type(error).__name__
            return Corrupt(events[0].sequence, f"read models cannot be made from here on: {name}")
        for event in recorded:
            if event.fact is None:
                self._unread += 1
                self._first_unread = self._first_unread or event
        return None

    def settle(self) -> Corrupt | int:
        """After the last event: what does not hold of the whole, or how far the read models are that are
        compared, which may be further than they were."""
        found = self._verification.end(at_least=self._checkpoint)
        if isinstance(found, Corrupt):
            return found
        self._found = found
        self._connection = self._engine.connect()
        # One transaction, so that all tables are of one moment; SQLite's driver begins none for reads alone.
        # Only now: what is written while it lasts cannot be tidied up.
        self._connection.exec_driver_sql("BEGIN")
        self._until = position_of(self._connection).sequence
        return self._until

    def replay(self, events: Sequence[Stored]) -> None:
        """Events that are known to hold, and were taken."""
        self._replay.take([_recorded(event) for event in events])

    def compare(self) -> Generator[Corrupt | Verified | None]:
        """What was found, after as many steps that found nothing as it takes."""
        assert self._connection is not None
        with closing(self._replay.pages(self._connection)) as pages:
            for unequal in pages:
                if unequal is not None:
                    yield Corrupt(self._until, unequal)
                    return
                yield None
        yield replace(self._found, unread=self._told_unread())

    def _told_unread(self) -> str:
        first = self._first_unread
        if first is None:
            return ""
        which = f"event {first.sequence}, {first.type} of {first.aggregate.kind} {first.aggregate.id}"
        what = f"{self._unread} events are not understood and change nothing, {which} the first: "
        return what + first.unknown.partition(": ")[0]


def _recorded(event: Stored) -> Recorded:
    return wire.to_recorded(event.sequence, event.time, event.subject, event.headers, event.data)
