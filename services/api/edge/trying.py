"""Trying a policy on what is recorded of a deployment: reading its minutes, and replaying them. Blocking."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from libs.common.autoscaling.replay import (
    MINUTE_S,
    Capacity,
    LoadMinute,
    Side,
    replay,
    summed_up,
)
from libs.common.spec.model import Autoscaling
from services.api.points.minutes import DeploymentPoint
from services.api.points.store import PointStore
from services.api.points.tables import DEPLOYMENT
from services.api.readmodels.numbers import Said, numbers_at


@dataclass(frozen=True, slots=True)
class Trial:
    """first, last: minutes since 1970, both looked at. said: what was asked for and decided up to the end."""

    deployment_id: str
    autoscaling: Autoscaling
    floor: int
    capacity: Capacity
    first: int
    last: int
    said: Sequence[Said]
    request_window_s: float


@dataclass(frozen=True, slots=True)
class Tried:
    """recorded_from: the first minute that was replayed. numbers: at the end of each minute from there."""

    recorded_from: int
    actual: Side
    proposed: Side
    actual_numbers: Sequence[int]
    proposed_numbers: Sequence[int]


def tried(points: PointStore, trial: Trial) -> Tried | None:
    """None where nothing is recorded of the deployment."""
    known = {
        minute: DeploymentPoint(*values[: len(_FIELDS)])
        for found in points.points(DEPLOYMENT, trial.deployment_id, first=trial.first, last=trial.last)
        for minute, _, values in found.points
    }
    if not known:
        return None
    begin = min(known)
    counted = frozenset(points.counted(first=begin, last=trial.last))
    minutes = [
        _load(number, known.get(number), is_counted=number in counted)
        for number in range(begin, trial.last + 1)
    ]
    ends = [one.at for one in minutes]
    before, *actual = numbers_at(trial.said, [begin * MINUTE_S, *ends])
    proposed = replay(
        trial.autoscaling,
        minutes,
        floor=trial.floor,
        begin=before,
        capacity=trial.capacity,
        request_window_s=trial.request_window_s,
    )
    return Tried(
        begin,
        summed_up(actual, minutes, trial.autoscaling, trial.capacity),
        summed_up(proposed, minutes, trial.autoscaling, trial.capacity),
        actual,
        proposed,
    )


_FIELDS = astuple(DeploymentPoint())


def _load(number: int, point: DeploymentPoint | None, *, is_counted: bool) -> LoadMinute:
    """Where requests were counted and there is no point of them, there were none."""
    at = float((number + 1) * MINUTE_S)
    if point is None:
        return LoadMinute(at, answered=0.0 if is_counted else None, duration_us=0.0 if is_counted else None)
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
