"""`python -m services.api.archive.work`: what the api leaves to a process of its own.

| arguments                                 | reads from standard input | answers              |
|-------------------------------------------|---------------------------|----------------------|
| verify <read models> <checkpoint>         | the events of the log, an | `{"until": …}` or    |
|        <folder> <head, or empty>          | empty line                | `{"corrupt": …}`     |
|                                           | the events that are       | `{"verified": …}` or |
|                                           | missing, an empty line    | `{"corrupt": …}`     |
| prepare <events> <new read models>        | how many bytes of the     | `{"prepared": …}`    |
|                                           | events hold by now, again |                      |
|                                           | and again, an empty line  |                      |

Each event is a line of an export. Standard input is open as long as the api lives that wants the answer.
"""

import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from libs.common.log import wire
from libs.common.log.export import stored_of
from libs.common.log.head import LogHead
from libs.common.log.port import Stored
from libs.common.log.timeline import Timeline
from libs.common.log.verify import Corrupt, Verified
from services.api.archive.verifier import Verifier
from services.api.readmodels.database import scratch_database
from services.api.readmodels.writer import take_all_in

VERIFY = "verify"
PREPARE = "prepare"

END = b"\n"

_ALL = -1

_AT_ONCE = 200

_Answer = dict[str, Any]


def answer_of(found: Corrupt | Verified | int) -> _Answer:
    match found:
        case Corrupt(sequence=sequence, reason=reason):
            return {"corrupt": {"sequence": sequence, "reason": reason}}
        case Verified(events=events, aggregates=aggregates, head=head, unread=unread):
            return {
                "verified": {"events": events, "aggregates": aggregates, "head": str(head), "unread": unread}
            }
        case until:
            return {"until": until}


def found_of(answer: _Answer) -> Corrupt | Verified | int:
    """The other way round."""
    match answer:
        case {"corrupt": {"sequence": sequence, "reason": reason}}:
            return Corrupt(sequence, reason)
        case {"verified": {"events": events, "aggregates": aggregates, "head": head, "unread": unread}}:
            return Verified(events, aggregates, LogHead.parse(head), unread)
        case {"until": until}:
            return int(until)
    raise ValueError(f"no answer: {answer}")


def verify(shown: str, checkpoint: str, folder: str, head: str) -> Iterator[_Answer]:
    with Verifier(
        Path(shown),
        checkpoint=int(checkpoint),
        head=LogHead.parse(head) if head else None,
        folder=Path(folder),
    ) as verifier:
        for events in _given():
            if corrupt := verifier.take(events):
                yield answer_of(corrupt)
                return
        settled = verifier.settle()
        yield answer_of(settled)
        if isinstance(settled, Corrupt):
            return
        for events in _given():
            verifier.replay(events)
        yield from (answer_of(found) for found in verifier.compare() if found is not None)


def _given() -> Iterator[list[Stored]]:
    """Up to the empty line. Where there is none nobody wants the answer any more."""
    events: list[Stored] = []
    for line in sys.stdin.buffer:
        is_end = line == END
        if not is_end:
            events.append(stored_of(line))
        if len(events) == _AT_ONCE or (is_end and events):
            yield events
            events = []
        if is_end:
            return
    sys.exit(1)


def prepare(events: str, made: str) -> Iterator[_Answer]:
    """Read models of all events of a file, which may still grow."""
    told: SimpleQueue[int] = SimpleQueue()
    threading.Thread(target=_hear, args=(told,), daemon=True).start()
    engine, timeline = scratch_database(Path(made)), Timeline()
    last = None
    with open(events, "rb") as lines:  # noqa: PTH123 - a path as it came
        for stored in _kept(lines, told):
            recorded = [wire.to_recorded(e.sequence, e.time, e.subject, e.headers, e.data) for e in stored]
            take_all_in(engine, recorded, log="", timeline=timeline)
            last = recorded[-1]
    engine.dispose()
    if last is not None:
        yield {"prepared": {"sequence": last.sequence, "hash": last.hash}}


def _hear(told: SimpleQueue[int]) -> None:
    """How far the file holds; `_ALL` when that is all of it. Ends with the api."""
    for line in sys.stdin.buffer:
        told.put(_ALL if line == END else int(line))
    os._exit(1)


def _kept(lines: IO[bytes], told: SimpleQueue[int]) -> Iterator[list[Stored]]:
    """What lies behind the bytes that hold may be a part of a line."""
    at = 0
    while (until := told.get()) != _ALL:
        while at < until:
            events: list[Stored] = []
            while at < until and len(events) < _AT_ONCE:
                line = lines.readline()
                at += len(line)
                events.append(stored_of(line))
            yield events


_WORK: dict[str, Callable[..., Iterator[_Answer]]] = {VERIFY: verify, PREPARE: prepare}


def main(command: str, *arguments: str) -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # Whatever else is said belongs to the log of the api.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    gc.freeze()  # The modules stay: to look through them again and again is a twentieth of the work.
    for answer in _WORK[command](*arguments):
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
