"""Every object that the adapter writes, whole. A file of `golden/` is changed by hand, where it is meant."""

import json
from pathlib import Path

import pytest

from libs.common.cluster.kubernetes.anchor import Anchor, Listed
from libs.common.cluster.kubernetes.manifests import make_anchor, make_budget, make_pod
from libs.common.errors import CannotApply
from libs.common.events.envelope import Position
from libs.common.machine_types.catalogue import MachineType
from libs.common.machine_types.reading import bundled
from libs.common.spec.template import Template

FOLDER = Path(__file__).parent / "golden"

PLAIN = {"image": "model:1", "ports": [8000], "machine_type": "C4"}
WHOLE = {
    "image": "registry.example/team/model@sha256:" + "0" * 64,
    "command": ["serve", "--port", "$(PORT)"],
    "env": [{"name": "MODEL", "value": "large"}, {"name": "URL", "value": "http://127.0.0.1:$(PORT_9000)"}],
    "ports": [8000, 9000],
    "machine_type": "C6",
    "health_checks": {
        "startup": {"path": "/started", "initial_delay_seconds": 5, "failure_threshold": 60},
        "readiness": {
            "path": "/ready",
            "port": 9000,
            "host": "model.internal",
            "headers": [{"name": "X-Check", "value": "yes"}],
            "period_seconds": 2,
        },
        "liveness": {"path": "/alive", "timeout_seconds": 3},
    },
}
GPU = {**PLAIN, "machine_type": "h100"}
MACHINE_TYPES = {
    **bundled(),
    "h100": MachineType.model_validate(
        {
            "name": "h100",
            "cpus": 7.5,
            "memoryGib": 62.5,
            "diskGib": 100,
            "requests": {"cpus": 0.25, "memoryGib": 0.5},
            "gpus": 1,
            "gpuResource": "nvidia.com/mig-3g.40gb",
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "tolerations": [{"key": "spot", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 30}],
            "priorityClass": "serving",
            "runtimeClass": "nvidia",
            "shmGib": 16,
        }
    ),
}
REPLICA = Listed("a" * 32, "b" * 32, "c" * 32)


def anchor_of(template=PLAIN, **kwargs):
    templates = {REPLICA.run_id: Template.model_validate(template)}
    return Anchor("default", "d" * 32, Position(7, "log", "hash"), (REPLICA,), templates, **kwargs)


def pod_of(template, *, has_zones=True, security="restricted"):
    return make_pod(
        anchor_of(template),
        REPLICA,
        machine_types=MACHINE_TYPES,
        anchor_uid="11111111-2222-3333-4444-555555555555",
        namespace="replicas",
        grace_s=10.0,
        drain_s=30.0,
        has_zones=has_zones,
        security=security,
        traceparent="00-ab-cd-01" if template is WHOLE else None,
    )


MANIFESTS = {
    "anchor": make_anchor(anchor_of(WHOLE), namespace="replicas", version="42"),
    "budget": make_budget(namespace="replicas"),
    "pod-plain": pod_of(PLAIN),
    "pod-baseline": pod_of(PLAIN, security="baseline"),
    "pod-whole": pod_of(WHOLE),
    "pod-gpu": pod_of(GPU),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_as_published(name):
    assert MANIFESTS[name] == json.loads((FOLDER / f"{name}.json").read_text())


def test_no_golden_file_is_left_over():
    assert {path.stem for path in FOLDER.iterdir()} == MANIFESTS.keys()


def test_a_new_anchor_replaces_nothing():
    assert "resourceVersion" not in make_anchor(anchor_of(), namespace="replicas")["metadata"]


def test_replicas_are_spread_over_nodes_alone_where_not_each_node_has_a_zone():
    spread = pod_of(PLAIN, has_zones=False)["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["kubernetes.io/hostname"]


@pytest.mark.parametrize("name", [name for name, each in bundled().items() if each.gpus])
def test_a_machine_type_that_does_not_say_where_its_gpu_is_cannot_be_applied(name):
    with pytest.raises(CannotApply, match=f"machineType is '{name}', whose nodeSelector.*allowed.*C4.*h100"):
        pod_of({**PLAIN, "machine_type": name})


def test_a_machine_type_that_is_gone_cannot_be_applied():
    with pytest.raises(CannotApply, match=r"machineType is 'C99', which is gone; allowed: one of .*C4"):
        pod_of({**PLAIN, "machine_type": "C99"})


HEADER = {"name": "X_Check", "value": "yes"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": ""}, "image is no image: ''; allowed: an image reference"),
        ({"image": "a "}, "image is no image: 'a '"),
        *(
            (
                {"env": [{"name": name, "value": ""}]},
                f"env.0.name is no name of a variable: {name!r}; allowed",
            )
            for name in ("", "a=b", "é", "a\n", "\0")
        ),
        *(
            ({"region": region}, "region is no label of a node: ")
            for region in ("../x", "é", "a\n", "x" * 64)
        ),
        ({"health_checks": {"startup": {"path": ""}}}, "healthChecks.startup.path must not be empty: ''"),
        (
            {"health_checks": {"readiness": {"path": "/", "headers": [HEADER]}}},
            "healthChecks.readiness.headers.0.name is no name of a header: 'X_Check'; allowed: letters",
        ),
    ],
)
def test_what_no_pod_can_have_cannot_be_applied(changes, said):
    with pytest.raises(CannotApply) as refused:
        pod_of({**PLAIN, **changes})
    assert str(refused.value).startswith(said)


def test_a_region_is_a_label_of_its_nodes_beside_those_of_its_machine_type():
    assert pod_of({**PLAIN, "region": "eu-west"})["spec"]["nodeSelector"] == {
        "topology.kubernetes.io/region": "eu-west"
    }
    assert pod_of({**GPU, "region": "eu-west"})["spec"]["nodeSelector"] == {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "topology.kubernetes.io/region": "eu-west",
    }


def test_a_command_that_checks_is_the_kubelets():
    check = {"exec": {"command": ["test", "-f", "ready"]}, "timeoutSeconds": 3}
    container = pod_of({**PLAIN, "health_checks": {"liveness": check}})["spec"]["containers"][0]
    assert container["livenessProbe"]["exec"] == {"command": ["test", "-f", "ready"]}
    assert "httpGet" not in container["livenessProbe"]
    assert container["livenessProbe"]["timeoutSeconds"] == 3
