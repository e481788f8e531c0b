"""Trying a policy on recorded minutes over REST."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from libs.common.clock import to_rfc3339
from libs.common.clock import utc_now as now
from libs.common.errors import MetricsUnavailable
from libs.common.events.scaling import ReplicasDecided
from libs.common.machine_types.pricing import Priced
from libs.common.machine_types.reading import bundled
from libs.common.metrics.port import Holding, MemorySamples
from libs.common.metrics.samples import Kind
from libs.common.scaling.cause import Cause as Why
from libs.common.spec.model import Autoscaling
from services.api.points.minutes import DeploymentPoint, Minute
from services.api.points.store import Found, PointStore
from tests.support.deployments import Storyteller
from tests.support.recorded_load import BY_CPU, Recorded, every, tried
from tests.support.rest import RunningApi, a_config

CPUS = bundled()["C4"].cpus


def minute_of(moment: datetime) -> int:
    return int(moment.timestamp() // 60)


def record(api: RunningApi, deployment_id: str, first: int, cores: list[float | None]) -> None:
    for number, used in enumerate(cores, first):
        known = {} if used is None else {deployment_id: DeploymentPoint(cpu_cores=used, replicas=1)}
        api.api.points.put(Minute(number, True, known, {}))


async def test_both_sides_on_the_same_minutes(api: RunningApi):
    deployment_id = await api.submit(a_config(autoscaling={**BY_CPU, "maxReplicas": 2}))
    begin = now() - timedelta(minutes=30)
    first = minute_of(begin) + 5
    load = [0.4 * CPUS] * 5 + [2.0 * CPUS] * 15
    record(api, deployment_id, first, load)
    found = await tried(api, deployment_id, **{"from": to_rfc3339(begin)})
    assert found["recordedFrom"] == to_rfc3339(datetime.fromtimestamp(first * 60, UTC))
    assert found["resolutionSeconds"] == 60
    assert len(found["assumptions"]) > 3
    assert found["actual"]["peak"] == found["series"][-1]["actual"]
    assert (found["proposed"]["peak"], found["proposed"]["changes"]) == (4, 1)
    assert found["proposed"]["minutesAboveTarget"] < found["actual"]["minutesAboveTarget"]
    assert found["proposed"]["replicaHours"] > found["actual"]["replicaHours"]
    assert found["unpriced"] == ["C4"]
    assert found["actual"]["cost"] is None
    assert [(one["proposed"]) for one in found["series"]][-1] == 4


async def test_of_the_first_times_that_there_are_nothing_is_recorded(api: RunningApi):
    deployment_id = await api.submit(a_config(autoscaling=BY_CPU))
    found = await tried(api, deployment_id, **{"from": "0001-01-01T00:00:00Z", "to": "0001-01-02T00:00:00Z"})
    assert (found["recordedFrom"], found["series"]) == (None, [])


async def test_the_actual_numbers_are_those_that_were_in_force(api: RunningApi):
    deployment_id = await api.submit(a_config(autoscaling=BY_CPU))
    spec_id = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["id"]
    story = Storyteller(api.api.log, deployment_id)
    await story.tell(
        ReplicasDecided(
            spec_id=spec_id,
            stretch_id=spec_id,
            from_replicas=1,
            to_replicas=3,
            floor=1,
            policy=Autoscaling.model_validate(BY_CPU),
            reason=Why.METRIC_ABOVE_TARGET,
        )
    )
    later = now() + timedelta(minutes=3)
    first = minute_of(now()) - 1
    record(api, deployment_id, first, [0.1] * 3)
    api.at(later)
    found = await tried(api, deployment_id, **{"from": to_rfc3339(later - timedelta(minutes=10))})
    assert found["series"][-1]["actual"] == 3
    assert found["actual"]["peak"] == 3


async def test_each_side_costs_what_its_replicas_cost_then(api: RunningApi):
    begin = datetime.fromtimestamp(minute_of(now() - timedelta(minutes=30)) * 60, UTC)
    first = minute_of(begin) + 5
    changed_at = datetime.fromtimestamp((first + 10) * 60, UTC)
    prices = [
        Priced.model_validate({"from": at, "price": price})
        for at, price in ((EARLY, 6.0), (changed_at, 12.0))
    ]
    types = dict(api.api.machine_types)
    types["C4"] = types["C4"].model_copy(update={"price_per_hour": prices})
    api.api = api.rest.state.api = replace(api.api, machine_types=types)
    deployment_id = await api.submit(a_config())
    record(api, deployment_id, first, [0.4 * CPUS] * 20)
    found = await tried(
        api, deployment_id, **{"from": to_rfc3339(begin), "to": to_rfc3339(begin + timedelta(minutes=26))}
    )
    minutes = minute_of(begin + timedelta(minutes=26)) - first
    assert found["proposed"]["cost"] == pytest.approx(0.1 * 10 + 0.2 * (minutes - 10))
    assert found["unpriced"] == []


EARLY = datetime(2020, 1, 1, tzinfo=UTC)


async def test_minutes_in_which_nothing_was_in_flight_need_no_replicas_for_it(api: RunningApi):
    deployment_id = await api.submit(a_config())
    begin = now() - timedelta(minutes=30)
    first = minute_of(begin) + 1
    for number in range(first, first + 28):
        load = DeploymentPoint(60.0, 0.0, 0.0, 6e7, in_flight=30.0, in_flight_most=30.0)
        api.api.points.put(Minute(number, True, {deployment_id: load} if number < first + 5 else {}, {}))
    policy = {"maxReplicas": 5, "concurrency": {"target": 10, "scaleDownDelaySeconds": 60}}
    found = await tried(api, deployment_id, autoscaling=policy, **{"from": to_rfc3339(begin)})
    assert (found["resolutionSeconds"], found["proposed"]["peak"]) == (60, 5)
    assert found["series"][-1]["proposed"] == 1


async def test_nothing_recorded_is_said(api: RunningApi):
    deployment_id = await api.submit(a_config())
    found = await tried(api, deployment_id, **{"from": to_rfc3339(now() - timedelta(hours=1))})
    assert (found["recordedFrom"], found["actual"], found["proposed"], found["series"]) == (
        None,
        None,
        None,
        [],
    )


async def test_samples_are_replayed_while_metrics_holds_them(api: RunningApi):
    deployment_id = await api.submit(a_config(autoscaling=BY_CPU))
    began = now() - timedelta(minutes=40)
    burst = (began + timedelta(minutes=20, seconds=20)).timestamp()
    kept = Recorded(deployment_id)
    await kept.measure(
        Kind.USAGE,
        every(15, since=began, minutes=39),
        lambda at: (2.0 if burst <= at < burst + 30 else 0.4) * CPUS,
    )
    api.with_samples(kept.samples)
    since = began + timedelta(minutes=10)
    found = await tried(api, deployment_id, **{"from": to_rfc3339(since)})
    assert found["resolutionSeconds"] == 15
    assert abs(parsed(found["recordedFrom"]) - since) < timedelta(seconds=15)
    assert "a minute has its average" not in " ".join(found["assumptions"])
    up = next(one for one in found["series"] if one["proposed"] == 4)
    assert (
        timedelta(0) <= parsed(up["timestamp"]) - datetime.fromtimestamp(burst, UTC) <= timedelta(seconds=30)
    )
    assert found["proposed"]["peak"] == 4
    assert found["proposed"]["changes"] == 2
    assert found["proposed"]["replicaHours"] == pytest.approx((29 + 3 * 5.5) / 60, abs=0.05)


async def test_a_burst_of_a_few_seconds_is_found_in_samples(api: RunningApi):
    deployment_id = await api.submit(a_config())
    began = now() - timedelta(minutes=20)
    burst = (began + timedelta(minutes=10)).timestamp()
    kept = Recorded(deployment_id)
    await kept.measure(
        Kind.IN_FLIGHT,
        every(1, since=began, minutes=19),
        lambda at: 40 if burst <= at < burst + 8 else 1,
    )
    api.with_samples(kept.samples)
    policy = {"maxReplicas": 5, "concurrency": {"target": 10, "scaleDownDelaySeconds": 60}}
    since = to_rfc3339(began + timedelta(minutes=5))
    found = await tried(api, deployment_id, autoscaling=policy, **{"from": since})
    assert (found["resolutionSeconds"], found["proposed"]["peak"]) == (2, 5)
    up = next(one for one in found["series"] if one["proposed"] > 1)
    assert 0 <= parsed(up["timestamp"]).timestamp() - burst <= 10
    assert found["series"][-1]["proposed"] == 1


@pytest.mark.parametrize(("edges", "peak"), [(("in_flight",), 5), (("in_flight", "edge-2"), 1)])
async def test_a_load_without_that_of_every_edge_changes_no_number(
    api: RunningApi, edges: tuple[str, ...], peak: int
):
    deployment_id = await api.submit(a_config())
    began = now() - timedelta(minutes=10)
    kept = Recorded(deployment_id)
    await kept.measure(Kind.IN_FLIGHT, every(1, since=began, minutes=9), lambda _: 40)
    api.with_samples(kept.samples)
    api.api = api.rest.state.api = replace(api.api, edges=edges)
    policy = {"maxReplicas": 5, "concurrency": {"target": 10}}
    since = to_rfc3339(began + timedelta(minutes=5))
    found = await tried(api, deployment_id, autoscaling=policy, **{"from": since})
    assert (found["resolutionSeconds"], found["proposed"]["peak"]) == (2, peak)


class Watched(PointStore):
    """Counts how often its points are read."""

    reads = 0

    def points(self, *wanted: Any, **within: Any) -> list[Found]:
        self.reads += 1
        return super().points(*wanted, **within)


async def test_where_metrics_does_not_hold_it_all_or_is_away_the_minutes_have_to_do(
    api: RunningApi, tmp_path: Path
):
    points = Watched(tmp_path / "watched.db", most_bytes=2**30)
    api.api = api.rest.state.api = replace(api.api, points=points)
    deployment_id = await api.submit(a_config())
    began = now() - timedelta(minutes=30)
    record(api, deployment_id, minute_of(began) + 1, [0.4 * CPUS] * 20)
    kept = Recorded(deployment_id)
    times = every(15, since=began + timedelta(minutes=5), minutes=20)
    await kept.measure(Kind.USAGE, times, lambda _: 0.4 * CPUS)
    for number, samples in enumerate((kept.samples, Away(), MemorySamples()), 1):
        api.with_samples(samples)
        found = await tried(api, deployment_id, **{"from": to_rfc3339(began)})
        assert found["resolutionSeconds"] == 60
        assert found["proposed"]["peak"] == 1
        assert points.reads == number
    points.close()


async def test_of_a_platform_that_is_younger_than_the_time_asked_about_all_that_is_recorded_counts(
    api: RunningApi,
):
    """Whoever tries a policy a few minutes after the first start asks about days all the same."""
    deployment_id = await api.submit(a_config(autoscaling=BY_CPU))
    began = now() - timedelta(seconds=100)
    kept = Recorded(deployment_id)
    await kept.measure(Kind.USAGE, every(15, since=began, minutes=1), lambda _: 2.0 * CPUS)
    api.with_samples(kept.samples)
    for record_minutes in (False, True):
        if record_minutes:
            record(api, deployment_id, minute_of(began) + 1, [2.0 * CPUS])
        found = await tried(api, deployment_id, **{"from": to_rfc3339(began - timedelta(days=7))})
        assert (found["resolutionSeconds"], found["proposed"]["peak"]) == (15, 4)
        assert timedelta(0) <= parsed(found["recordedFrom"]) - began <= timedelta(seconds=15)


async def test_samples_of_less_than_one_step_are_nothing_recorded(api: RunningApi):
    deployment_id = await api.submit(a_config(autoscaling=BY_CPU))
    quarter = now().timestamp() // 15 * 15 - 15
    newest = quarter + 7
    kept = Recorded(deployment_id)
    for age_s in (5, 1):
        await kept.measure(Kind.USAGE, [newest - age_s], lambda _: 0.4 * CPUS)
    # Right after a quarter of a minute begins no whole one lies between the samples and the end.
    api.at(datetime.fromtimestamp(quarter + 15.1, UTC))
    api.with_samples(kept.samples)
    since = datetime.fromtimestamp(newest - 1, UTC)
    found = await tried(api, deployment_id, **{"from": to_rfc3339(since)})
    assert (found["recordedFrom"], found["series"]) == (None, [])


class Away(MemorySamples):
    async def holding(self) -> Holding:
        raise MetricsUnavailable("not connected to the broker")


def parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
