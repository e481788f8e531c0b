"""What surrounds a fact: where it belongs, what caused it, and what the log adds when it stores it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from libs.common.events.fact import Fact

TEAM = "_team"
"""The project token of what belongs to no project."""

ROOT = "events"

_BEFORE_PAGE = "-"
_MOST_DIGITS = 9

APPEND_ROOT = "append"
"""Instead of `ROOT` on the way to the log, which alone listens there: what `ROOT` carries is stored."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The unit of consistency: its events form one linear history."""

    project_id: str
    kind: str
    id: str

    def subject(self, event_type: str, page: int | None = None) -> str:
        """page: of a fact that holds one page of something larger, each of which has its newest fact."""
        end = event_type if page is None else f"{event_type}{_BEFORE_PAGE}{page}"
        return f"{ROOT}.{self.project_id}.{self.kind}.{self.id}.{end}"

    @property
    def filter(self) -> str:
        """Selects every event of this aggregate; built from the same ids as `subject`, so that a guard on
        it always covers what it guards (a filter that does not would be accepted and guard nothing)."""
        return f"{ROOT}.{self.project_id}.{self.kind}.{self.id}.>"


@lru_cache(maxsize=1024)
def parse_subject(subject: str) -> tuple[Aggregate, str]:
    """`events.<project_id>.<kind>.<id>.<event_type>` into its aggregate and event type, without a page."""
    root, project_id, kind, aggregate_id, last = subject.split(".")
    if root != ROOT:
        raise ValueError(f"not an event subject: {subject}")
    return Aggregate(project_id, kind, aggregate_id), _split_page(last)[0]


def page_of_subject(subject: str) -> int | None:
    """The page that ends the subject of an event; None where there is none."""
    return _split_page(subject.rpartition(".")[2])[1]


def _split_page(last: str) -> tuple[str, int | None]:
    """`<event_type>` or `<event_type>-<page>`, the last token of a subject, into type and page."""
    event_type, _, page = last.partition(_BEFORE_PAGE)
    if page.isascii() and page.isdecimal() and len(page) <= _MOST_DIGITS and page == str(int(page)):
        return event_type, int(page)
    return last, None


def append_subject(subject: str) -> str:
    """Where to send what the log shall store under `subject`; of a filter, the filter of all such places."""
    root, _, rest = subject.partition(".")
    if root != ROOT:
        raise ValueError(f"not an event subject: {subject}")
    return f"{APPEND_ROOT}.{rest}"


def select(*, project_id: str = "*", kind: str = "*", aggregate_id: str = "*", event_type: str = "*") -> str:
    """A subject filter; each argument left out selects everything in its place."""
    return f"{ROOT}.{project_id}.{kind}.{aggregate_id}.{event_type}"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an append happens; the same for every event of one append."""

    actor: str
    """Who is answerable (`key:default`, `service:health`, `command:<user>`), as authenticated. Events of
    earlier versions that a command led to have the command's source here."""
    correlation_id: str
    """The id of the first request or command of the chain."""
    causation_id: str | None = None
    """The id of the event or command that led to this append directly; None at the start."""
    traceparent: str | None = None
    """W3C trace context of the span that appends, or None where nothing is traced."""
    causation_source: str | None = None
    """Of a command that led to this directly, the source that its publisher claims; with `causation_id` it
    names the command. None for everything else."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact that wants to be appended, as a decision gives it."""

    aggregate: Aggregate
    fact: Fact
    event_id: str | None = None
    """None where the log gives it one, when it takes it."""

    @property
    def subject(self) -> str:
        return self.aggregate.subject(self.fact.event_type(), self.fact.subject_page())


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stored event."""

    sequence: int
    """Its place in the log, counted over all aggregates; the version for guarded appends."""
    time: datetime
    """When the stream stored it. It may be earlier than that of an event before it; the time that is shown,
    by which `?at=` goes, never is (`libs/common/log/timeline.py`)."""
    aggregate: Aggregate
    type: str
    event_id: str
    data: Mapping[str, Any]
    """The payload as stored."""
    fact: Fact | None
    """The payload as this version understands it; None if it does not."""
    cause: Cause
    hash: str
    """Chains it to the event before it in its aggregate; opaque."""
    unknown: str = ""
    """Why there is no fact; empty when there is one."""
    page: int | None = None
    """The page that its subject names, of a fact that holds one page of something larger."""

    @property
    def subject(self) -> str:
        return self.aggregate.subject(self.type, self.page)


@dataclass(frozen=True, slots=True)
class Position:
    """One event of one log: what to remember to find out later whether a log still has it."""

    sequence: int
    log: str = ""
    """The log's identity; empty where it is not known."""
    hash: str = ""
    """Of the event; empty where it is not known."""

    def __str__(self) -> str:
        return str(self.sequence)


GENESIS = ""
"""The previous hash of an aggregate's first event."""


def chain_hash(previous: str, subject: str, event_id: str, event_type: str, data: bytes) -> str:
    """The first version of the hash that an event carries; what is stored now has the second.

    A part's length precedes it, so that parts cannot run together.
    """
    digest = hashlib.sha256()
    for part in (previous.encode(), subject.encode(), event_id.encode(), event_type.encode(), data):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
