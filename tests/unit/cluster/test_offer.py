"""What a spec asks for that the cluster can never carry out is said with its place and what is allowed."""

from typing import Any

import pytest

from libs.common.cluster.abilities import abilities_of
from libs.common.cluster.kubernetes import anchor
from libs.common.cluster.offer import Offer
from libs.common.events.envelope import Position
from libs.common.ids import new_id
from libs.common.machine_types.catalogue import MachineType
from libs.common.spec.model import Spec
from libs.common.spec.template import make_template

TYPES = {
    name: MachineType.model_validate({"name": name, "cpus": 1.0, "memoryGib": 1.0, **more})
    for name, more in {
        "small": {},
        "t4": {"gpus": 1},
        "h100": {"gpus": 1, "nodeSelector": {"product": "H100"}},
        "h100x8": {"gpus": 8, "nodeSelector": {"product": "H100"}},
        "east": {"nodeSelector": {"topology.kubernetes.io/region": "us-east"}},
    }.items()
}
REGIONS = ("eu-west", "us-east")


def offer(kind: Any, **more: Any) -> Offer:
    return Offer(TYPES, abilities_of(kind, **more))


def spec(machine_type: str = "small", **more: Any) -> Spec:
    replicas = more.pop("replicas", 1)
    resources = {"machineType": machine_type, "ports": [8000], "replicas": replicas}
    return Spec.model_validate(
        {"name": "demo", "image": "i", "command": ["serve"], "resources": resources, **more}
    )


LOCAL, ONE_GPU, KUBERNETES = offer("local"), offer("local", gpus=1), offer("kubernetes", regions=REGIONS)


@pytest.mark.parametrize(
    ("there", "asked", "path", "message", "allowed"),
    [
        (LOCAL, spec(command=None), ("command",), "needs a container runtime", "the program to start"),
        (LOCAL, spec("h100"), ("resources", "machineType"), "this machine has no GPU", ["small", "east"]),
        (
            ONE_GPU,
            spec("h100x8"),
            ("resources", "machineType"),
            "has 8 GPUs, and this machine has 1 GPU",
            ["small", "t4", "h100", "east"],
        ),
        (
            KUBERNETES,
            spec("t4"),
            ("resources", "machineType"),
            "does not say by a nodeSelector",
            ["small", "h100", "h100x8", "east"],
        ),
        (KUBERNETES, spec("gone"), ("resources", "machineType"), "is not a machine type", [*TYPES]),
        (
            LOCAL,
            spec(region="eu-west"),
            ("region",),
            "is not supported: this cluster has none",
            "leave it out",
        ),
        (KUBERNETES, spec(region="mars"), ("region",), "is not a region of this cluster", [*REGIONS]),
        (KUBERNETES, spec("east", region="eu-west"), ("region",), "is not where east is", ["us-east"]),
        (
            KUBERNETES,
            spec(env=[{"name": "é", "value": ""}]),
            ("env", 0, "name"),
            "is no name of a variable",
            "printable ASCII",
        ),
        (
            KUBERNETES,
            spec(healthChecks={"readiness": {"path": "/", "headers": [{"name": "X_A", "value": "b"}]}}),
            ("healthChecks", "readiness", "headers", 0, "name"),
            "is no name of a header",
            "letters, digits and `-`",
        ),
    ],
)
def test_it_is_refused(there, asked, path, message, allowed):
    (issue,) = there.issues(asked)
    assert issue.path == path
    assert message in issue.message
    if isinstance(allowed, list):
        assert issue.allowed == allowed
    else:
        assert allowed in issue.allowed


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        (LOCAL, spec()),
        (ONE_GPU, spec("t4")),
        (offer("local", regions=("here",)), spec(region="here")),
        (KUBERNETES, spec(command=None)),
        (KUBERNETES, spec("h100x8", region="eu-west")),
        (KUBERNETES, spec("east", region="us-east")),
    ],
)
def test_it_is_taken(there, asked):
    assert there.issues(asked) == []


def test_all_mistakes_are_said_at_once():
    found = LOCAL.issues(spec("h100", command=None, region="x"))
    assert [issue.path[-1] for issue in found] == ["command", "machineType", "region"]


def test_a_disabled_spec_asks_for_nothing():
    assert LOCAL.issues(spec("h100", command=None, enabled=False)) == []
    assert KUBERNETES.issues(spec("gone", region="mars", enabled=False)) == []


def test_a_spec_without_replicas_asks_only_not_to_be_too_long():
    assert LOCAL.issues(spec("h100", command=None, replicas=0)) == []
    assert KUBERNETES.issues(spec("gone", region="mars", replicas=0)) == []
    (issue,) = KUBERNETES.issues(with_env(930, replicas=0))
    assert "is too long" in issue.message


def with_env(kib: int, sign: str = "x", **more: Any) -> Spec:
    return spec(env=[{"name": f"V{n}", "value": sign * 1000} for n in range(kib)], **more)


def test_what_is_too_long_for_the_cluster_to_know_is_refused():
    (issue,) = KUBERNETES.issues(with_env(930))
    assert issue.path == ("env",)
    assert "is too long" in issue.message
    assert issue.allowed == "at most 921600 bytes in all"
    assert KUBERNETES.issues(with_env(400)) == []
    assert LOCAL.issues(with_env(930)) == []


def test_the_present_spec_counts_while_its_replicas_stay():
    (issue,) = KUBERNETES.issues(with_env(500), before=with_env(500, "y"))
    assert "together with the present spec" in issue.message
    # The same template: its replicas stay, and there is one of it.
    assert KUBERNETES.issues(with_env(500, replicas=2), before=with_env(500)) == []


def test_replicas_count_as_well():
    (issue,) = KUBERNETES.issues(with_env(780, replicas=1000))
    assert issue.path == ("env",)


def test_with_autoscaling_the_most_there_may_be_count():
    metrics = [{"metric": "cpu", "summary": "average", "value": 50}]
    scaled = with_env(780).model_dump()
    scaled["resources"]["autoscaling"] = {"maxReplicas": 1000, "metrics": metrics}
    (issue,) = KUBERNETES.issues(Spec.model_validate(scaled))
    assert issue.path == ("env",)


def test_what_is_expected_is_never_less_than_what_is_written():
    template = make_template(with_env(3, "é"))
    replicas = tuple(anchor.Listed(new_id(), "a" * 32, new_id(), is_stopping=True) for _ in range(3))
    fence = Position(10**9, new_id(), "h" * 64)
    written = anchor.Anchor(new_id(), new_id(), fence, replicas, {"a" * 32: template})
    assert anchor.size_of(written) <= anchor.expected_size([(template, 3)])
