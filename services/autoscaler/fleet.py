"""What an operator is shown of every deployment: how many replicas it has, and since when something is amiss.

Pure, given the times. Lengths are counted by this process: one that has started, or leads, since a minute ago
says a minute of what is amiss for longer; only what decisions remember is told over a restart.
"""

import itertools
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Final

from libs.common.scaling.limiting import Change
from libs.common.state.view import DeploymentView
from services.autoscaler.knowledge import Knowledge

TURNS_WITHIN_S: Final = 1800.0
AT_ONCE: Final = 500
"""Deployments, before somebody else may do something."""


@dataclass(frozen=True, slots=True)
class Shown:
    """By deployment. short_for, at_ceiling_for, unknown_for: seconds, 0 where it is not so. The last three
    have those that scale by load alone. oldest_s: how long ago one of these was decided about, at most."""

    wanted: Mapping[str, float]
    ready: Mapping[str, float]
    short_for: Mapping[str, float]
    at_ceiling_for: Mapping[str, float]
    unknown_for: Mapping[str, float]
    direction_changes: Mapping[str, float]
    oldest_s: float


@dataclass(slots=True)
class Fleet:
    """Looks again at those deployments of which anything was heard."""

    knowledge: Knowledge
    _touched: set[str] = field(default_factory=set)
    _wanted: dict[str, float] = field(default_factory=dict)
    _ready: dict[str, float] = field(default_factory=dict)
    _short_since: dict[str, float] = field(default_factory=dict)
    _known_since: dict[str, float] = field(default_factory=dict)
    """Of those that scale by load."""

    def note(self, deployment_id: str) -> None:
        if deployment_id in self.knowledge.views.by_id or deployment_id in self._wanted:
            self._touched.add(deployment_id)
        else:
            # It is gone, and nobody was told of it: in a warm copy, where nobody asks, no look clears this.
            self._touched.discard(deployment_id)

    def note_all(self) -> None:
        """The views were read anew."""
        self._touched |= self.knowledge.views.by_id.keys() | self._wanted.keys()

    def forget(self) -> None:
        """Nothing is told for a while."""
        for known in (self._wanted, self._ready, self._short_since, self._known_since):
            known.clear()
        self.note_all()

    def shown(self, *, now: float) -> Shown:
        """All at once."""
        looking = self.in_turns(now=now)
        while True:
            try:
                next(looking)
            except StopIteration as done:
                found: Shown = done.value
                return found

    def in_turns(self, *, now: float) -> Generator[None, None, Shown]:
        """Yields whenever others may have a turn; what is shown is its value."""
        touched, self._touched = self._touched, set()
        for number, name in enumerate(touched):
            if number % AT_ONCE == AT_ONCE - 1:
                yield
            self._count(name, self.knowledge.views.by_id.get(name), now)
        since = self._short_since
        wanted, ready = dict(self._wanted), dict(self._ready)
        short_for = {name: now - since[name] if name in since else 0.0 for name in wanted}
        yield
        known_since: dict[str, float] = {}
        at_ceiling_for: dict[str, float] = {}
        unknown_for: dict[str, float] = {}
        direction_changes: dict[str, float] = {}
        oldest_s = 0.0
        for number, name in enumerate(list(self.knowledge.policies)):
            if number % AT_ONCE == AT_ONCE - 1:
                yield
            memory = self.knowledge.memories.get(name)
            if memory is None:
                continue
            known = known_since[name] = self._known_since.get(name, now)
            oldest_s = max(oldest_s, now - max(known, memory.decided_at or known))
            at = memory.at_ceiling_since
            at_ceiling_for[name] = 0.0 if at is None else max(0.0, now - at)
            unknown = memory.unknown_since
            unknown_for[name] = max(0.0, now - min(unknown.values())) if unknown else 0.0
            changes = memory.hpa.changes
            direction_changes[name] = turns(changes, now=now) if len(changes) > 1 else 0
        self._known_since = known_since
        return Shown(wanted, ready, short_for, at_ceiling_for, unknown_for, direction_changes, oldest_s)

    def _count(self, name: str, view: DeploymentView | None, now: float) -> None:
        if view is None or view.deployment is None or not view.deployment.exists:
            for known in (self._wanted, self._ready, self._short_since):
                known.pop(name, None)
            return
        leaving = view.rollout.retiring
        wanted = view.wanted_replicas
        ready = sum(one.replica_id not in leaving for one in view.roster.ready())
        self._wanted[name], self._ready[name] = wanted, ready
        if ready < wanted:
            self._short_since.setdefault(name, now)
        else:
            self._short_since.pop(name, None)


def turns(changes: tuple[Change, ...], *, now: float) -> int:
    """How often the number changed its direction within the last half hour. changes: oldest first."""
    lately = [one.by > 0 for one in changes if now - one.at <= TURNS_WITHIN_S]
    return sum(one != other for one, other in itertools.pairwise(lately))
