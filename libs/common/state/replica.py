"""The roster: the fold of a `replica` aggregate, and its pages, which are written with each change. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from libs.common.events.envelope import Recorded
from libs.common.events.replica import Replica, ReplicaFact, ReplicaState, RosterRecorded

PAGE_SIZE: Final = 16
"""Replicas of one page: a page is written whole for each change in it, and a fact has at most 64 KiB."""

Page = tuple[Replica, ...]


@dataclass(frozen=True)
class Roster:
    """Every replica that exists. pages: without those on which there is none.

    is_recorded: whether the pages lie in the log. They do not where its newest fact is of version 1, which
    had the whole roster: then whoever writes next records all of them.
    """

    pages: Mapping[int, Page] = field(default_factory=dict)
    is_recorded: bool = True

    @classmethod
    def of(cls, replicas: Iterable[Replica], *, is_recorded: bool = True) -> "Roster":
        """Of replicas that have no slots yet: each gets the one of its place."""
        pages: dict[int, Page] = defaultdict(tuple)
        for slot, replica in enumerate(replicas):
            pages[slot // PAGE_SIZE] += (replica.model_copy(update={"slot": slot}),)
        return cls(dict(pages), is_recorded)

    @cached_property
    def by_id(self) -> Mapping[str, Replica]:
        """Oldest first."""
        listed = {r.replica_id: r for page in sorted(self.pages) for r in self.pages[page]}
        return {r.replica_id: r for r in sorted(listed.values(), key=lambda r: (r.created_at, r.replica_id))}

    @cached_property
    def replicas(self) -> tuple[Replica, ...]:
        """Oldest first."""
        return tuple(self.by_id.values())

    def get(self, replica_id: str) -> Replica | None:
        return self.by_id.get(replica_id)

    def ready(self, run_id: str | None = None) -> tuple[Replica, ...]:
        """The replicas that may get requests, of one run or of all."""
        return tuple(
            r
            for r in self.replicas
            if r.state is ReplicaState.RUNNING and (run_id is None or r.run_id == run_id)
        )


def evolve(state: Roster, event: Recorded) -> Roster:
    """Never fails. The newest fact of each page says how that page is.

    The facts of single changes say no more than the pages that are appended with them, but for those of
    version 1: each of these had the whole roster.
    """
    match event.fact:
        case RosterRecorded(page=page, pages=pages, replicas=replicas):
            others = {n: known for n, known in state.pages.items() if n < pages and n != page}
            return Roster({**others, page: replicas} if replicas else others)
        case ReplicaFact(roster=roster) if roster is not None:
            return Roster.of(roster, is_recorded=False)
        case _:
            return state


def free_slots(replicas: Iterable[Replica]) -> Iterator[int]:
    """The slots that none of these has, the lowest first; without end."""
    taken = {replica.slot for replica in replicas}
    slot = 0
    while True:
        if slot not in taken:
            yield slot
        slot += 1


def record(state: Roster, changes: Sequence[ReplicaFact]) -> tuple[tuple[RosterRecorded, ...], Roster]:
    """The pages to append with these changes, each once for all its changes; the roster after them."""
    pages = {number: {r.replica_id: r for r in page} for number, page in state.pages.items()}
    pages_of: dict[str, set[int]] = defaultdict(set)
    for number, page in pages.items():
        for replica_id in page:
            pages_of[replica_id].add(number)
    touched = set() if state.is_recorded else {0, *pages}
    for change in changes:
        for number in pages_of.pop(change.replica_id, ()):
            del pages[number][change.replica_id]
            touched.add(number)
        if change.replica is not None:
            number = change.replica.slot // PAGE_SIZE
            pages.setdefault(number, {})[change.replica_id] = change.replica
            pages_of[change.replica_id].add(number)
            touched.add(number)
    left = {
        number: tuple(sorted(page.values(), key=lambda r: (r.slot, r.replica_id)))
        for number, page in pages.items()
        if page
    }
    count = max(left, default=-1) + 1
    facts = (RosterRecorded(page=n, pages=count, replicas=left.get(n, ())) for n in sorted(touched))
    return tuple(facts), Roster(left)
