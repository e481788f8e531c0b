"""What a NATS user must be allowed to do, by what its service does with the log. Pure data.

The broker itself so enforces that each kind of fact has one writer. A denied request gets no answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from libs.common.bus import subjects
from libs.common.bus.subjects import EVENTS_STREAM, heartbeat
from libs.common.events.envelope import append_subject


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that a user may publish to, and subscribe to; `+` joins two."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def __add__(self, other: "Permissions") -> "Permissions":
        return Permissions(
            tuple(dict.fromkeys(self.publish + other.publish)),
            tuple(dict.fromkeys(self.subscribe + other.subscribe)),
        )


def service(name: str) -> Permissions:
    """Of every service: its own inbox, without which it gets no answer, and its heartbeat."""
    return Permissions((heartbeat(name),), (f"_INBOX_{name}.>",))


def reader(consumers: Iterable[str], stream: str = EVENTS_STREAM) -> Permissions:
    """Load, read and follow, by consumers of these names; the stream's information says which log it is."""
    return Permissions(
        (
            f"$JS.API.STREAM.INFO.{stream}",
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.STREAM.MSG.GET.{stream}",
            *(f"$JS.API.CONSUMER.CREATE.{stream}.{name}" for name in consumers),
            f"$JS.FC.{stream}.>",
            f"$JS.FC.*.*.{stream}.>",
        )
    )


def appender(facts: Iterable[str]) -> Permissions:
    """Append: facts are filters such as `events.*.replica.*.*`. Clearing up an unknown outcome reads too.

    Nobody may publish to the facts' own subjects: what is heard there is what the log has stored.
    """
    return reader(consumers=()) + Permissions(tuple(append_subject(fact) for fact in facts))


def worker(stream: str, durable: str) -> Permissions:
    """Consume work from a provisioned durable. Both forms of the acknowledgement's subject."""
    return Permissions(
        (
            f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
            f"$JS.ACK.{stream}.{durable}.>",
            f"$JS.ACK.*.*.{stream}.{durable}.>",
        )
    )


def keeper(stream: str, root: str, key: str = "*") -> Permissions:
    """Read the entries of a stream that keeps one for each key, and replace those of some keys."""
    return Permissions((f"{root}.{key}",)) + entry_reader(stream)


def entry_reader(stream: str) -> Permissions:
    """Read the entries of a stream that keeps one for each key."""
    return Permissions((f"$JS.API.STREAM.MSG.GET.{stream}",))


def gatherer(stream: str) -> Permissions:
    """Read many entries of such a stream with one question."""
    return Permissions((f"$JS.API.DIRECT.GET.{stream}",))


def tail_reader() -> Permissions:
    """Read what is kept of gone and crashed replicas."""
    return Permissions((f"$JS.API.DIRECT.GET.{subjects.TAILS_STREAM}",))


def tail_keeper() -> Permissions:
    """Keep it, and replace it by nothing when its deployment is deleted."""
    return tail_reader() + Permissions(
        (subjects.tail("*", "*"), f"$JS.API.STREAM.INFO.{subjects.TAILS_STREAM}")
    )


def measurer(kinds: Iterable[str]) -> Permissions:
    """Publish samples of these kinds; the stream's answer comes to the inbox."""
    return Permissions(tuple(subjects.samples(kind) for kind in kinds))
