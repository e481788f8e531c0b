"""Autoscaling in a spec: what is accepted, what is said of what is not, and the rules that it becomes."""

from typing import Any

import pytest

from libs.common.scaling.behavior import Behavior, Rate, RateType, Select, scale_down_rules, scale_up_rules
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, ResourceMetric
from libs.common.scaling.in_flight import InFlightPolicy
from libs.common.scaling.replicas import Resource
from libs.common.spec.model import Autoscaling
from libs.common.spec.scaling_policy import policy_of
from libs.common.spec.template import make_template, run_id
from tests.support.specs import parse_spec
from tests.unit.spec.mistakes import VALID, changed, dotted, issues

PATH = "resources.autoscaling"
CPU = {"metric": "cpu", "summary": "average", "value": 50}
MEMORY = {**CPU, "metric": "memory"}
DURATION = {**CPU, "metric": "requestDuration", "value": 0.15}
BY_METRICS: dict[str, Any] = {"maxReplicas": 5, "metrics": [CPU]}
BY_CONCURRENCY: dict[str, Any] = {"maxReplicas": 5, "concurrency": {}}
RATE = {"type": "Pods", "value": 1, "periodSeconds": 15}


def stored(autoscaling: dict[str, Any]) -> Autoscaling:
    kept = parse_spec(changed(PATH, autoscaling)).resources.autoscaling
    assert kept is not None
    return kept


@pytest.mark.parametrize(
    ("autoscaling", "policy"),
    [
        pytest.param(BY_METRICS, HpaPolicy((ResourceMetric(Resource.CPU, 50),)), id="as published"),
        pytest.param(
            {**BY_METRICS, "enabled": False, "metrics": [MEMORY, DURATION]},
            HpaPolicy((ResourceMetric(Resource.MEMORY, 50), DurationMetric(150_000))),
            id="fractions of a second",
        ),
        pytest.param(
            {**BY_METRICS, "metrics": [{**DURATION, "value": 0.001}]},
            HpaPolicy((DurationMetric(1000),)),
            id="the lowest duration",
        ),
        pytest.param(
            {**BY_METRICS, "behavior": {}},
            HpaPolicy((ResourceMetric(Resource.CPU, 50),), behavior=Behavior()),
            id="an empty behavior is the default one, which is not the same as none",
        ),
        pytest.param(
            {
                **BY_METRICS,
                "behavior": {
                    "scaleUp": {"policies": [RATE], "selectPolicy": "Min", "tolerance": 0.05},
                    "scaleDown": {"stabilizationWindowSeconds": 3600, "selectPolicy": "Disabled"},
                },
            },
            HpaPolicy(
                (ResourceMetric(Resource.CPU, 50),),
                behavior=Behavior(
                    scale_up_rules(rates=(Rate(RateType.PODS, 1, 15),), select=Select.MIN, tolerance=0.05),
                    scale_down_rules(window_s=3600, select=Select.DISABLED),
                ),
            ),
            id="behavior",
        ),
        pytest.param(BY_CONCURRENCY, InFlightPolicy(), id="the defaults of concurrency"),
        pytest.param(
            {
                "maxReplicas": 5,
                "concurrency": {
                    "target": 10,
                    "targetUtilizationPercentage": 100,
                    "windowSeconds": 10,
                    "scaleDownDelaySeconds": 0,
                    "maxScaleDownRatePercent": 1,
                },
            },
            InFlightPolicy(10, 100, 10, 0, 1),
            id="concurrency",
        ),
    ],
)
def test_what_is_accepted_becomes_a_policy(autoscaling, policy):
    assert policy_of(stored(autoscaling)) == policy


def test_the_window_of_request_durations_is_the_operators():
    assert policy_of(stored(BY_METRICS), request_window_s=20).request_window_s == 20


def test_the_block_is_no_part_of_what_a_replica_is():
    runs = {
        run_id(make_template(parse_spec(raw)))
        for raw in (VALID, changed(PATH, BY_METRICS), changed(PATH, BY_CONCURRENCY))
    }
    assert len(runs) == 1


def test_what_is_left_out_is_not_shown():
    assert stored(BY_METRICS).to_wire() == {**BY_METRICS, "enabled": True}
    assert set(stored(BY_CONCURRENCY).to_wire()) == {"enabled", "maxReplicas", "metrics", "concurrency"}


def test_no_metrics_are_shown_beside_concurrency_and_what_is_shown_is_accepted():
    """The reference API always has `metrics`."""
    shown = stored(BY_CONCURRENCY).to_wire()
    assert shown["metrics"] == []
    assert stored(shown) == stored(BY_CONCURRENCY)


METRIC = f"{PATH}.metrics.0"
UP = f"{PATH}.behavior.scaleUp"
IN_FLIGHT = f"{PATH}.concurrency"


@pytest.mark.parametrize(
    ("autoscaling", "path", "message"),
    [
        ({"metrics": [CPU]}, f"{PATH}.maxReplicas", "is required"),
        ({"maxReplicas": 5}, f"{PATH}.metrics", "is required (or concurrency"),
        ({**BY_METRICS, "metrics": []}, f"{PATH}.metrics", "must not be empty"),
        ({**BY_METRICS, "maxReplicas": 1}, f"{PATH}.maxReplicas", "must be at least replicas (2)"),
        ({**BY_METRICS, "maxReplicas": 1001}, f"{PATH}.maxReplicas", "must be at most 1000"),
        ({**BY_METRICS, "minReplicas": 1}, f"{PATH}.minReplicas", "is not a known field"),
        ({**BY_METRICS, "metrics": [CPU, DURATION, CPU]}, f"{PATH}.metrics.2.metric", "already in entry 0"),
        ({**BY_METRICS, "concurrency": {}}, f"{PATH}.metrics", "cannot be beside concurrency"),
        ({**BY_CONCURRENCY, "behavior": {}}, f"{PATH}.behavior", "cannot be beside concurrency"),
        *(
            ({**BY_METRICS, "metrics": [{**CPU, **metric}]}, f"{METRIC}.{field}", message)
            for metric, field, message in (
                ({"metric": "gpu"}, "metric", "is not one of the allowed values"),
                ({"summary": "max"}, "summary", "is not one of the allowed values"),
                ({"value": 0}, "value", "must be greater than 0"),
                ({"value": True}, "value", "must be a number"),
                ({"value": float("inf")}, "value", "must be a finite number"),
                ({"value": 100.5}, "value", "must be at most 100"),
                ({"value": 0.0001}, "value", "must be at least 0.001"),
                ({"metric": "memory", "value": 101}, "value", "must be at most 100"),
                ({"metric": "requestDuration", "value": 0.0009}, "value", "must be at least 0.001"),
                ({"metric": "requestDuration", "value": 1e300}, "value", "must be at most 2147483647"),
            )
        ),
        *(
            ({**BY_METRICS, "behavior": {"scaleUp": rules}}, f"{UP}.{field}", message)
            for rules, field, message in (
                ({"stabilizationWindowSeconds": 3601}, "stabilizationWindowSeconds", "at most 3600"),
                ({"stabilizationWindowSeconds": -1}, "stabilizationWindowSeconds", "at least 0"),
                ({"selectPolicy": "Average"}, "selectPolicy", "is not one of the allowed values"),
                ({"policies": []}, "policies", "must not be empty"),
                ({"policies": [RATE] * 11}, "policies", "must have at most 10 values"),
                (
                    {"policies": [{**RATE, "periodSeconds": 1801}]},
                    "policies.0.periodSeconds",
                    "at most 1800",
                ),
                ({"policies": [{**RATE, "periodSeconds": 0}]}, "policies.0.periodSeconds", "at least 1"),
                ({"policies": [{**RATE, "value": 0}]}, "policies.0.value", "must be at least 1"),
                ({"policies": [{**RATE, "type": "Replicas"}]}, "policies.0.type", "not one of the allowed"),
                ({"tolerance": -0.1}, "tolerance", "must be at least 0"),
                ({"window": 1}, "window", "is not a known field"),
            )
        ),
        *(
            ({"maxReplicas": 5, "concurrency": {field: value}}, f"{IN_FLIGHT}.{field}", message)
            for field, value, message in (
                ("target", 0, "must be at least 1"),
                ("targetUtilizationPercentage", 0, "must be at least 1"),
                ("targetUtilizationPercentage", 101, "must be at most 100"),
                ("targetUtilizationPercentage", 70.5, "must be a whole number"),
                ("windowSeconds", 9, "must be at least 10"),
                ("windowSeconds", 3601, "must be at most 3600"),
                ("scaleDownDelaySeconds", -1, "must be at least 0"),
                ("scaleDownDelaySeconds", 3601, "must be at most 3600"),
                ("maxScaleDownRatePercent", 0, "must be at least 1"),
                ("maxScaleDownRatePercent", 51, "must be at most 50"),
                ("minReplicas", 0, "is not a known field"),
            )
        ),
        ([], PATH, "must be an object"),
        (None, PATH, "must not be null"),
    ],
)
def test_what_is_wrong_is_said_by_its_path(autoscaling, path, message):
    (issue,) = issues(changed(PATH, autoscaling))
    assert (dotted(issue), message in issue.message) == (path, True), issue


def test_it_is_written_in_the_oldest_version_too():
    spec = parse_spec(
        {
            "apiVersion": "v0alpha0",
            "name": "a",
            "image": "b",
            "resources": {"instanceType": "C4", "autoscaling": BY_METRICS},
        }
    )
    assert spec.resources.autoscaling == stored(BY_METRICS)


def test_with_zero_replicas_it_is_accepted_and_the_deployment_is_stopped():
    spec = parse_spec(
        {**VALID, "resources": {**VALID["resources"], "replicas": 0, "autoscaling": BY_METRICS}}
    )
    assert not spec.scale.is_autoscaled
