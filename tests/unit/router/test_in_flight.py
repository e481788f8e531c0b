"""What is asked about what is in flight, and what is told of it."""

import pytest
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest

from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.spec.model import Autoscaling, ScalingConcurrency, ScalingMetric
from services.router.measuring.in_flight import (
    InFlightBatches,
    Question,
    choose,
    needs_in_flight,
    read_report,
)
from services.router.xds.resources import fresh_cluster
from tests.support.deployments import a_spec, a_view


def told(batch):
    return {one.deployment_id: one.in_flight for one in batch.in_flight}


def test_who_is_asked_about():
    question = choose(
        {"policy"}, {"now": 100.0, "lately": 41.0, "long-ago": 39.0}, {"busy": 1, "idle": 0}, 100.0
    )
    assert question.deployment_ids == {"policy", "now", "lately", "busy"}


@pytest.mark.parametrize(("count", "period_s"), [(0, 60), (1, 1), (1000, 1), (1001, 2), (10_000, 10)])
def test_beyond_1000_deployments_it_is_slower(count, period_s):
    question = Question(frozenset(map(str, range(count))))
    assert question.period_s == period_s
    assert question.response().load_reporting_interval.seconds == period_s
    assert len(question.response().clusters) == 2 * count


def test_both_clusters_of_a_deployment_are_summed():
    request = LoadStatsRequest()
    for name, active in (("d1", 3), (fresh_cluster("d1"), 2), ("d2", 0)):
        cluster = request.cluster_stats.add(cluster_name=name)
        if active:
            cluster.upstream_locality_stats.add(total_requests_in_progress=active)
    assert read_report(request) == {"d1": 5, "d2": 0}


def test_what_is_told():
    batches = InFlightBatches("edge")
    steps = [
        ({"a": 1, "b": 0}, {"a": 1, "b": 0}),  # whole
        ({"a": 1, "b": 0}, {"a": 1}),  # not 0
        ({"a": 0, "b": 0, "c": 0}, {"a": 0, "c": 0}),  # changed, and new
        ({"a": 0, "b": 2, "c": 0}, {"b": 2}),
        ({"a": 0}, {"b": 0}),  # not asked about any more
        ({"a": 0}, {}),
    ]
    for second, (in_flight, wanted) in enumerate(steps):
        batch = batches.next(in_flight, interval_s=1, ended_at=second, now=second)
        assert told(batch) == wanted
        assert (batch.number, batch.is_whole) == (second + 1, second == 0)
    assert batches.next({"a": 0}, interval_s=1, ended_at=60, now=60).is_whole


@pytest.mark.parametrize(
    ("autoscaling", "is_needed"),
    [
        (None, False),
        (Autoscaling(max_replicas=4, concurrency=ScalingConcurrency()), True),
        (Autoscaling(max_replicas=4, concurrency=ScalingConcurrency(), enabled=False), False),
        (Autoscaling(max_replicas=4, metrics=(ScalingMetric(metric="cpu", value=50),)), False),
    ],
)
def test_who_needs_to_know(autoscaling, is_needed):
    spec = a_spec()
    resources = spec.resources.model_copy(update={"autoscaling": autoscaling})
    spec = spec.model_copy(update={"resources": resources})
    created = [DeploymentCreated(name="demo"), SpecRegistered(spec_id="s1", run_id="r1", spec=spec)]
    assert needs_in_flight(a_view(created)) is is_needed
    assert not needs_in_flight(a_view([*created, DeploymentDeleted(name="demo")]))
