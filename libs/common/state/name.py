"""Who holds a name: the fold of a `name` aggregate. Pure."""

from dataclasses import dataclass

from libs.common.events.envelope import Recorded
from libs.common.events.name import NameClaimed, NameReleased


@dataclass(frozen=True, slots=True)
class NameState:
    owner_id: str | None = None
    """The holder; None while the name is free."""


def evolve(state: NameState, event: Recorded) -> NameState:
    """Never fails; what it does not know changes nothing."""
    match event.fact:
        case NameClaimed(owner_id=owner_id):
            return NameState(owner_id)
        case NameReleased():
            return NameState(None)
        case _:
            return state
