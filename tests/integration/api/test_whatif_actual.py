"""What really happened, beside a policy that is tried."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from libs.common.clock import to_rfc3339
from libs.common.events.scaling import ReplicasDecided
from libs.common.metrics.samples import Kind
from libs.common.scaling.cause import Cause as Why
from libs.common.spec.model import Autoscaling
from tests.support.deployments import Storyteller
from tests.support.recorded_load import BY_CPU, Recorded, every, tried
from tests.support.rest import RunningApi, a_config


async def test_what_happened_is_the_same_beside_any_policy(api: RunningApi):
    """Also where the number changed twice within one step of a policy, and in the last part of one."""
    deployment_id = await api.submit(a_config(autoscaling=BY_CPU))
    spec_id = (await api.get(f"/v1/deployments/{deployment_id}"))["latestSpec"]["id"]
    story = Storyteller(api.api.log, deployment_id)
    times = [datetime.fromisoformat((await api.get(f"/v1/deployments/{deployment_id}"))["dtCreated"])]
    numbers = (1, 2, 4, 3, 5)
    for before, after in pairwise(numbers):
        await story.tell(
            ReplicasDecided(
                spec_id=spec_id,
                stretch_id=spec_id,
                from_replicas=before,
                to_replicas=after,
                floor=1,
                policy=Autoscaling.model_validate(BY_CPU),
                reason=Why.METRIC_ABOVE_TARGET,
            )
        )
        newest = (await api.get(f"/v1/deployments/{deployment_id}/decisions"))["items"][0]
        times.append(datetime.fromisoformat(newest["dtCreated"]))
    began = times[0].timestamp() - 120
    kept = Recorded(deployment_id)
    for kind in (Kind.USAGE, Kind.IN_FLIGHT):
        every_s = 15 if kind is Kind.USAGE else 1
        await kept.measure(
            kind, every(every_s, since=datetime.fromtimestamp(began, UTC), minutes=3), lambda _: 1
        )
    api.with_samples(kept.samples)
    since = datetime.fromtimestamp(began // 60 * 60 + 60, UTC)
    by_requests = {"maxReplicas": 9, "concurrency": {"target": 10}}
    for end in (times[-1] + timedelta(milliseconds=1), times[-1] + timedelta(seconds=33.3)):
        api.at(end)
        asked = {"from": to_rfc3339(since), "to": to_rfc3339(end)}
        found = [await tried(api, deployment_id, autoscaling=one, **asked) for one in (BY_CPU, by_requests)]
        assert [one["resolutionSeconds"] for one in found] == [15, 2]
        assert [one["recordedFrom"] for one in found] == [to_rfc3339(since)] * 2
        lasted = [(until - at).total_seconds() for at, until in pairwise([*times, end])]
        hours = sum(number * seconds for number, seconds in zip(numbers, lasted, strict=True)) / 3600
        for one in found:
            assert (one["actual"]["changes"], one["actual"]["peak"]) == (4, 5)
            assert one["actual"]["replicaHours"] == pytest.approx(hours, abs=1e-5)
            assert [each["actual"] for each in one["series"]][-1] == 5
        assert found[0]["actual"]["replicaHours"] == found[1]["actual"]["replicaHours"]
