"""The smallest histories there are: a name that is claimed and released. For tests of the log itself."""

from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.ids import new_id

CAUSE = Cause("key:default", correlation_id="c0ffee", causation_id="beef", traceparent="00-aa-bb-01")


def name(key: str, project_id: str = "default") -> Aggregate:
    return Aggregate(project_id, "name", key)


def claim(aggregate: Aggregate, owner_id: str = "d1", **options: str) -> Draft:
    """options: an `event_id` that a test knows; otherwise a fresh one."""
    fact = NameClaimed(parent="default", name="☃", owner_id=owner_id)
    return Draft(aggregate, fact, **{"event_id": new_id(), **options})


def release(aggregate: Aggregate, owner_id: str = "d1") -> Draft:
    return Draft(aggregate, NameReleased(parent="default", name="☃", owner_id=owner_id), event_id=new_id())
