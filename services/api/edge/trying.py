"""Trying a policy on what is recorded of a deployment.

As fine as it was measured while METRICS holds all that is recorded of the time that is asked about, and
otherwise by the minutes that are kept of it.
"""

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import structlog

from libs.common.autoscaling import recorded
from libs.common.autoscaling.replay import (
    ASSUMPTIONS,
    MINUTE_S,
    OF_SAMPLES,
    Capacity,
    LoadMinute,
    minutes_above_target,
    replay,
)
from libs.common.errors import MetricsUnavailable
from libs.common.machine_types.pricing import Priced, cost
from libs.common.metrics.port import CaughtUp, Received, SampleReader
from libs.common.metrics.samples import FIELDS
from libs.common.spec.model import Autoscaling
from services.api.points.minutes import DeploymentPoint
from services.api.points.store import PointStore
from services.api.points.tables import DEPLOYMENT
from services.api.readmodels.numbers import Said, Step, numbers_at, steps_between

logger = structlog.get_logger()

READ_S: Final = 20.0
"""So long samples are read at most; then the minutes have to do."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
AT_ONCE: Final = 10
"""Batches that are read before somebody else may do something."""


@dataclass(frozen=True, slots=True)
class Trial:
    """begin, end: seconds since 1970. said: what was asked for and decided from `lead_begin` to the end.
    edges: without the samples of one of them it is unknown how much load there was."""

    deployment_id: str
    autoscaling: Autoscaling
    floor: int
    capacity: Capacity
    begin: float
    end: float
    said: Sequence[Said]
    request_window_s: float
    edges: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """What a number of replicas over time came to. minutes_above_target: in which some metric was above its
    target."""

    replica_hours: float
    changes: int
    peak: int
    minutes_above_target: int


@dataclass(frozen=True, slots=True)
class Tried:
    """recorded_from: the first time that was replayed, in seconds since 1970; both sides are of the time from
    there to the end that was asked about. The actual steps are as they are recorded, however far apart the
    proposed ones are worked out."""

    recorded_from: int
    each_s: int
    assumptions: Sequence[str]
    actual: Side
    proposed: Side
    actual_steps: Sequence[Step]
    proposed_steps: Sequence[Step]


Minutes = Mapping[int, DeploymentPoint]
"""What is kept of the time that is asked about."""


def lead_begin(begin: datetime, autoscaling: Autoscaling, *, request_window_s: float) -> datetime:
    """From when on what happened counts for the rules. Before the year 1 there is nothing."""
    lead = timedelta(seconds=recorded.lead_s(autoscaling, request_window_s=request_window_s))
    return begin - min(lead, begin - _FIRST)


async def tried(points: PointStore, samples: SampleReader | None, trial: Trial) -> Tried | None:
    """None where nothing is recorded of the deployment."""
    minutes = await asyncio.to_thread(_recorded_minutes, points, trial)
    received = [] if samples is None else await _received(minutes, samples, trial)
    if received and (found := await asyncio.to_thread(_tried_on_samples, trial, received)):
        return found
    return await asyncio.to_thread(_tried_on_minutes, points, trial, minutes)


def _recorded_minutes(points: PointStore, trial: Trial) -> Minutes:
    """Blocking."""
    first, last = int(trial.begin // MINUTE_S), int(trial.end // MINUTE_S) - 1
    return {
        minute: DeploymentPoint(*values[: len(_FIELDS)])
        for found in points.points(DEPLOYMENT, trial.deployment_id, first=first, last=last)
        for minute, _, values in found.points
    }


async def _received(minutes: Minutes, samples: SampleReader, trial: Trial) -> list[Received]:
    """All that the policy goes by, from before the lead; empty where there are minutes from before the oldest
    sample that METRICS holds, or it holds nothing of this deployment."""
    kinds = recorded.kinds_for(trial.autoscaling)
    lead_s = recorded.lead_s(trial.autoscaling, request_window_s=trial.request_window_s)
    since = trial.begin - lead_s - recorded.LOOK_BACK_S
    found: list[Received] = []
    try:
        holding = await samples.holding()
        if holding.since is None or min(minutes, default=math.inf) < holding.since // MINUTE_S:
            return []
        following = samples.follow(*kinds, since=since, only=trial.deployment_id)
        async with asyncio.timeout(READ_S), aclosing(following):  # type: ignore[type-var]  # every adapter gives a generator
            async for item in following:
                if isinstance(item, CaughtUp) or item.stored_at > trial.end:
                    break
                found.append(item)
                if len(found) % AT_ONCE == 0:
                    await asyncio.sleep(0)
    except (MetricsUnavailable, TimeoutError) as error:
        logger.warning("samples cannot be read, so minutes have to do", error=str(error))
        return []
    return found if any(getattr(one.batch, FIELDS[one.batch.kind]) for one in found) else []


def _tried_on_samples(trial: Trial, received: Sequence[Received]) -> Tried | None:
    """None where they are of less than one step. Blocking."""
    each_s = recorded.step_s(trial.autoscaling)
    known = next(one.stored_at for one in received if getattr(one.batch, FIELDS[one.batch.kind]))
    first = math.ceil(max(trial.begin, known) / each_s) * each_s
    times = [float(at) for at in range(first, int(trial.end) - each_s + 1, each_s)]
    if not times:
        return None
    lead = max(0, int((first - max(known, received[0].stored_at)) // each_s))
    every = [first - each_s * float(number) for number in range(lead, 0, -1)] + times
    loads = list(
        recorded.loads(
            received,
            trial.deployment_id,
            trial.autoscaling,
            times=every,
            request_window_s=trial.request_window_s,
            expected=trial.edges,
        )
    )
    proposed = recorded.replayed(
        trial.autoscaling,
        loads,
        # A number that was decided at a time is not yet what the samples of that time are of.
        numbers_at(trial.said, [at - 0.001 for at in every]),
        lead=lead,
        floor=trial.floor,
        capacity=trial.capacity,
        request_window_s=trial.request_window_s,
    )
    summed = [load.summed for load in loads[lead:]]
    return _tried(trial, first, each_s, OF_SAMPLES, summed, numbers_at(trial.said, times), proposed)


def _tried_on_minutes(points: PointStore, trial: Trial, known: Minutes) -> Tried | None:
    """Blocking."""
    if not known:
        return None
    last = int(trial.end // MINUTE_S) - 1
    begin = min(known)
    counted = frozenset(points.counted(first=begin, last=last))
    minutes = [
        load_of(number, known.get(number), is_counted=number in counted) for number in range(begin, last + 1)
    ]
    before, *actual = numbers_at(trial.said, [begin * MINUTE_S, *(one.at for one in minutes)])
    proposed = replay(
        trial.autoscaling,
        minutes,
        floor=trial.floor,
        begin=before,
        capacity=trial.capacity,
        request_window_s=trial.request_window_s,
    )
    return _tried(trial, begin * MINUTE_S, MINUTE_S, ASSUMPTIONS, minutes, actual, proposed)


def _tried(  # noqa: PLR0917 - each is of both ways
    trial: Trial,
    recorded_from: int,
    each_s: int,
    assumptions: Sequence[str],
    loads: Sequence[LoadMinute],
    actual: Sequence[int],
    proposed: Sequence[int],
) -> Tried:
    def side(steps: Sequence[Step], numbers: Sequence[int]) -> Side:
        above = minutes_above_target(numbers, loads, trial.autoscaling, trial.capacity, each_s=each_s)
        return _summed_up(steps, trial.end, minutes_above_target=above)

    was = steps_between(trial.said, recorded_from, trial.end)
    would_be = _steps(proposed, recorded_from, each_s)
    return Tried(
        recorded_from, each_s, assumptions, side(was, actual), side(would_be, proposed), was, would_be
    )


def _steps(numbers: Sequence[int], first: int, each_s: int) -> list[Step]:
    found: list[Step] = []
    for place, number in enumerate(numbers):
        if not found or number != found[-1].number:
            found.append(Step(float(first + place * each_s), number))
    return found


def _summed_up(steps: Sequence[Step], end: float, *, minutes_above_target: int) -> Side:
    """What the steps came to up to the end. The first spec of all is no change."""
    lengths = _stretches(steps, end)
    return Side(
        replica_hours=sum(number * (until - at) for at, until, number in lengths) / 3600,
        changes=sum(earlier.number is not None for earlier, _ in pairwise(steps)),
        peak=max((number for _, _, number in lengths), default=0),
        minutes_above_target=minutes_above_target,
    )


def _stretches(steps: Sequence[Step], end: float) -> list[tuple[float, float, int]]:
    """From when until when there were how many."""
    untils = [*(one.at for one in steps[1:]), end]
    return [(one.at, until, one.number or 0) for one, until in zip(steps, untils, strict=True)]


def cost_of(steps: Sequence[Step], end: float, prices: Sequence[Priced] | None) -> float | None:
    """Of so many replicas, up to the end, in seconds since 1970; None where a part has no price."""
    total = 0.0
    for at, until, number in _stretches(steps, end):
        each = cost(prices, _moment(at), _moment(until))
        if each is None:
            return None
        total += number * each
    return total


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


_FIELDS = astuple(DeploymentPoint())


def load_of(number: int, point: DeploymentPoint | None, *, is_counted: bool) -> LoadMinute:
    """Where requests were counted and there is no point, there were none, and none was in flight."""
    at = float((number + 1) * MINUTE_S)
    if point is None:
        none = 0.0 if is_counted else None
        return LoadMinute(at, answered=none, duration_us=none, in_flight=none, in_flight_most=none)
    each = None
    if point.memory_bytes is not None and point.replicas:
        each = point.memory_bytes / point.replicas
    return LoadMinute(
        at,
        cpu_cores=point.cpu_cores,
        memory_bytes=each,
        answered=point.answered,
        duration_us=point.duration_us,
        in_flight=point.in_flight,
        in_flight_most=point.in_flight_most,
    )
