"""Views without a snapshot, from what lives alone: of what was deleted only the names are asked for.

The newest event of each subject of everything that there ever was takes a minute and more with 100,000
deleted deployments, for each service. The ids of all that were created, and of all that are gone, take half
a second.
"""

from collections import defaultdict
from typing import Final

import structlog

from libs.common.events.deployment import DeploymentCreated
from libs.common.events.envelope import Recorded, select
from libs.common.events.fact import Fact
from libs.common.events.rollout import WorkloadRemoved
from libs.common.log.port import EventLog
from libs.common.set_aside import Aside
from libs.common.state.view import Views

logger = structlog.get_logger()

WORTH_IT: Final = 1_000
"""Deployments that are gone. The events of fewer are read in the time in which those of what lives are asked
for one after the other."""
AT_ONCE: Final = 40
"""Deployments that are loaded at once."""


async def read_living(log: EventLog, views: Views, aside: Aside) -> int | None:
    """Fill `views`; returns the sequence up to which they are complete.

    None, with `views` as they were, where too few deployments are gone. What cannot be taken in is set aside.
    Raises LogUnavailable; then `views` may have a part.
    """
    last = await log.last_sequence()
    gone = await _ids(log, WorkloadRemoved)
    if len(gone) < WORTH_IT:
        return None
    living = sorted(await _ids(log, DeploymentCreated) - gone)
    for begin in range(0, len(living), AT_ONCE):
        some = [select(aggregate_id=deployment_id) for deployment_id in living[begin : begin + AT_ONCE]]
        _take((await log.load(*some, until=last)).events, views, aside)
    for kind in views.kinds:
        if kind.view_field is None:
            _take((await log.load(kind.filter, until=last)).events, views, aside)
    views.sequence = last
    logger.info("views read of what lives", sequence=last, deployments=len(views.by_id), gone=len(gone))
    return last


async def _ids(log: EventLog, fact: type[Fact]) -> set[str]:
    """Of the deployments that it was said of."""
    subjects = await log.subjects(select(kind=fact.aggregate, event_type=fact.event_type()))
    return {subject.split(".")[3] for subject in subjects}


def _take(events: tuple[Recorded, ...], views: Views, aside: Aside) -> None:
    by_id: dict[str, list[Recorded]] = defaultdict(list)
    for event in events:
        by_id[event.aggregate.id].append(event)
    for aggregate_id, its in by_id.items():
        with aside.attempt(aggregate_id):
            for _ in views.take_again(its):
                pass
