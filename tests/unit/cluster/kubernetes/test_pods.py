"""What a pod says about its replica."""

import copy
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.altered import is_altered, is_labelled
from libs.common.cluster.kubernetes.anchor import Listed
from libs.common.cluster.kubernetes.pods import parse, show
from libs.common.cluster.port import Exit, ReplicaPhase
from libs.common.events.rollout import MoveReason
from tests.support.clusters import template
from tests.unit.cluster.kubernetes.test_sayings import event, said

LISTED = Listed("rep", "run", "spec")
TEMPLATE = template(ports=(8000, 9000))
CREATED, STARTED, ENDED = (f"2026-01-01T00:00:0{second}Z" for second in (1, 2, 3))


def at(second):
    return datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)


def pod(*, status=None, deleted=False, node="node-1"):
    metadata = {
        "name": "r-rep",
        "uid": "u-1",
        "resourceVersion": "17",
        "creationTimestamp": CREATED,
        "labels": names.pod_labels("default", "d", "run", "rep"),
        "annotations": {names.SPEC: "spec", names.TRACEPARENT: "00-ab-cd-01"},
        "ownerReferences": [{"uid": "other"}, {"uid": "anchor-uid", "controller": True}],
    }
    if deleted:
        metadata["deletionTimestamp"] = ENDED
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": status or {}}


def container(state, *, restarts=0, ready=False, last=None, **more):
    given = {"name": "replica", "ready": ready, "restartCount": restarts, "state": state}
    if last:
        given["lastState"] = {"terminated": last}
    return {"phase": "Running", "podIP": "10.0.0.7", "containerStatuses": [given], **more}


def waiting(reason, message=""):
    return container({"waiting": {"reason": reason, "message": message}}, phase="Pending")


def ended(code, reason="Error", signal=None):
    return {
        "exitCode": code,
        "reason": reason,
        "startedAt": STARTED,
        "finishedAt": ENDED,
        **({"signal": signal} if signal else {}),
    }


def condition(kind, status, reason="", message=""):
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


def seen(raw, listed=LISTED, **known):
    return show(parse(raw), listed, TEMPLATE, **known)


RUNNING = {"running": {"startedAt": STARTED}}
UNSCHEDULABLE = condition(
    "PodScheduled",
    "False",
    "Unschedulable",
    "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption.",
)
PENDING, EXITED, STOPPING = ReplicaPhase.PENDING, ReplicaPhase.EXITED, ReplicaPhase.STOPPING


@pytest.mark.parametrize(
    ("raw", "phase", "reason", "message"),
    [
        pytest.param(pod(node=None), PENDING, None, None, id="just made"),
        pytest.param(
            pod(status={"phase": "Pending", **UNSCHEDULABLE}, node=None),
            PENDING,
            "unschedulable",
            "0/3 nodes are available: 3 Insufficient cpu.",
            id="no room",
        ),
        pytest.param(pod(status=waiting("ContainerCreating")), PENDING, None, None, id="being made"),
        pytest.param(
            pod(status=waiting("ErrImagePull", "failed to pull x: not found")),
            PENDING,
            "image_pull",
            "failed to pull x: not found",
            id="image cannot be pulled",
        ),
        pytest.param(
            pod(
                status=waiting(
                    "ImagePullBackOff",
                    'Back-off pulling image "x": ErrImagePull: failed to pull x: not found',
                )
            ),
            PENDING,
            "image_pull",
            "failed to pull x: not found",
            id="the same message while the kubelet backs off",
        ),
        pytest.param(
            pod(status=waiting("InvalidImageName")), PENDING, "image_pull", "InvalidImageName", id="bad name"
        ),
        pytest.param(
            pod(
                status=waiting(
                    "CreateContainerConfigError", "container has runAsNonRoot and image will run as root"
                )
            ),
            PENDING,
            "cannot_start",
            "container has runAsNonRoot and image will run as root",
            id="image that runs as root",
        ),
        pytest.param(
            pod(status=container(RUNNING)), ReplicaPhase.RUNNING, None, None, id="runs, nothing checked yet"
        ),
        pytest.param(
            pod(status=container(RUNNING, **condition("Ready", "False", "ContainersNotReady"))),
            ReplicaPhase.RUNNING,
            None,
            "the readiness check does not succeed",
            id="runs, not ready",
        ),
        pytest.param(pod(status=container({"terminated": ended(3)})), EXITED, None, None, id="has ended"),
        pytest.param(
            pod(status=container({"waiting": {"reason": "CrashLoopBackOff"}}, last=ended(137, "OOMKilled"))),
            EXITED,
            "out_of_memory",
            "ran out of its memory",
            id="out of memory",
        ),
        pytest.param(
            pod(deleted=True, status=container(RUNNING)),
            STOPPING,
            "deleted",
            "its pod was deleted by somebody else",
            id="deleted by hand",
        ),
        pytest.param(
            pod(
                deleted=True,
                status=container(
                    RUNNING,
                    **condition("DisruptionTarget", "True", "PreemptionByScheduler", "for a better one"),
                ),
            ),
            STOPPING,
            "preempted",
            "for a better one",
            id="preempted",
        ),
        pytest.param(
            pod(
                deleted=True,
                status=container(RUNNING, **condition("DisruptionTarget", "True", "DeletionByTaintManager")),
            ),
            STOPPING,
            "evicted",
            "evicted from its node",
            id="evicted for a taint",
        ),
        pytest.param(
            pod(status={"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"}),
            STOPPING,
            "evicted",
            "the node was low on memory",
            id="evicted under pressure",
        ),
        pytest.param(
            pod(status={"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no GPU"}),
            STOPPING,
            "rejected",
            "UnexpectedAdmissionError: no GPU",
            id="refused by the kubelet",
        ),
    ],
)
def test_what_a_replica_is_said_to_be(raw, phase, reason, message):
    shown = seen(raw)
    assert (shown.phase, shown.reason, shown.message) == (phase, reason, message)


LOST = pod(status=container(RUNNING, ready=True, **condition("Ready", "False")))


def test_one_whose_node_is_silent_is_not_ready_unless_that_says_nothing():
    shown = seen(LOST)
    assert (shown.phase, shown.reason, shown.ready) == (ReplicaPhase.RUNNING, "node_lost", False)
    assert shown.message == "its node node-1 does not answer"
    held = show(parse(LOST), LISTED, TEMPLATE, is_held=True)
    assert (held.phase, held.ready) == (ReplicaPhase.RUNNING, None)


def test_one_that_starts_on_a_silent_node_is_not_ready_either():
    starts = pod(status=container(RUNNING, **condition("Ready", "False")))
    shown = seen(starts, is_lost=True)
    assert (shown.phase, shown.reason, shown.ready) == (ReplicaPhase.RUNNING, "node_lost", False)
    waits = seen(pod(status=waiting("ContainerCreating")), is_lost=True)
    assert (waits.phase, waits.reason, waits.ready) == (PENDING, None, None)


def test_who_has_to_move_is_told():
    assert seen(pod(), must_move=MoveReason.NODE_ENDS).must_move == "node_ends"
    assert seen(pod()).must_move is None


def test_an_event_tells_why_it_waits_only_where_the_status_does_not():
    mount = said(event("FailedMount", "no such volume"))
    shown = seen(pod(status=waiting("ContainerCreating")), said=mount)
    assert (shown.phase, shown.reason, shown.message) == (PENDING, "cannot_start", "no such volume")
    shown = seen(pod(status=waiting("ErrImagePull", "not found")), said=mount)
    assert (shown.reason, shown.message) == ("image_pull", "not found")
    shown = seen(pod(status=waiting("ContainerCreating")), said=said(event("Pulling")))
    assert (shown.phase, shown.reason, shown.message) == (PENDING, "pulling", "pulling model:1")


def test_an_event_tells_why_it_is_not_ready():
    fails = said(event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", at=9))
    unready = pod(status=container(RUNNING, **condition("Ready", "False")))
    assert seen(unready, said=fails).message == "readiness check: status 503"
    assert seen(pod(status=container(RUNNING, ready=True)), said=fails).message is None


KILLED = said(event("Killing", "Container replica failed liveness probe, will be restarted", at=2))


@pytest.mark.parametrize(
    ("terminated", "events", "reason", "message"),
    [
        pytest.param(ended(137), KILLED, "condemned", "liveness check: failed too often", id="condemned"),
        pytest.param(ended(137, "OOMKilled"), (), "out_of_memory", "ran out of its memory", id="memory"),
        pytest.param(ended(137), (), None, "ended by signal 9", id="killed"),
    ],
)
@pytest.mark.parametrize("is_back", [False, True], ids=["waits", "runs again"])
def test_why_a_process_ended_is_told_even_if_it_runs_again(terminated, events, reason, message, is_back):
    state = RUNNING if is_back else {"waiting": {"reason": "CrashLoopBackOff"}}
    shown = seen(pod(status=container(state, restarts=1, last=terminated)), said=events)
    assert (shown.last_exit.reason, shown.last_exit.message) == (reason, message)
    assert shown.reason == (None if is_back else reason)


def test_one_that_we_told_to_end_has_no_other_reason():
    shown = seen(pod(deleted=True, status=container(RUNNING)), Listed("rep", "run", "spec", is_stopping=True))
    assert (shown.phase, shown.reason, shown.message) == (STOPPING, None, None)


def test_a_ready_replica_whole():
    shown = seen(pod(status=container(RUNNING, ready=True, **condition("Ready", "True"))))
    assert (shown.replica_id, shown.run_id, shown.spec_id, shown.template) == ("rep", "run", "spec", TEMPLATE)
    assert (shown.created_at, shown.started_at, shown.attempt) == (at(1), at(2), 0)
    assert (shown.address, shown.ports) == ("10.0.0.7:8000", {8000: 8000, 9000: 9000})
    assert (shown.ready, shown.traceparent) == (True, "00-ab-cd-01")
    assert shown.last_exit is shown.restart_at is shown.message is shown.reason is None


@pytest.mark.parametrize(
    ("terminated", "expected"),
    [
        pytest.param(ended(3), Exit(status=3, at=at(3)), id="by itself"),
        pytest.param(ended(0, "Completed"), Exit(status=0, at=at(3)), id="with success"),
        pytest.param(ended(137), Exit(signal=9, at=at(3)), id="128 and the signal"),
        pytest.param(ended(0, signal=15), Exit(signal=15, at=at(3)), id="named signal"),
        pytest.param(ended(255), Exit(status=255, at=at(3)), id="no signal is that great"),
    ],
)
def test_how_a_process_ended(terminated, expected):
    assert seen(pod(status=container(RUNNING, restarts=1, last=terminated))).last_exit == expected


@pytest.mark.parametrize(("said", "seconds"), [("10s", 10), ("1m20s", 80), ("5m0s", 300)])
def test_when_it_is_started_again(said, seconds):
    message = f"back-off {said} restarting failed container=replica pod=r-rep_ns(u-1)"
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    shown = seen(pod(status=container(state, restarts=2, last=ended(1))))
    assert (shown.phase, shown.attempt, shown.message) == (EXITED, 2, None)
    assert shown.restart_at == at(3) + timedelta(seconds=seconds)


def test_what_says_nothing_new_does_not_count():
    raw = pod(status=container(RUNNING, ready=True))
    other = copy.deepcopy(raw)
    other["metadata"]["resourceVersion"] = "18"
    other["metadata"]["annotations"]["somebody/else"] = "x"
    other["status"]["conditions"] = [{"type": "Initialized", "status": "True"}]
    other["status"]["containerStatuses"].append({"name": "injected", "restartCount": 7})
    assert parse(other) == parse(raw)
    assert parse(other).version == 18


LABELS = names.pod_labels("default", "d", "run", "rep")


def born_with(image="model:1", generation=1, labels=(), **spec):
    raw = pod()
    raw["metadata"]["generation"] = generation
    raw["metadata"]["labels"] = {**raw["metadata"]["labels"], **dict(labels)}
    raw["spec"] = {**raw["spec"], "containers": [{"name": "replica", "image": image}], **spec}
    return raw


@pytest.mark.parametrize(
    ("raw", "altered"),
    [
        pytest.param(born_with(), False, id="as it was made"),
        pytest.param(born_with(image="mirror/model:1"), False, id="an admission put a mirror before it"),
        pytest.param(born_with(generation=2), False, id="its resources were changed"),
        pytest.param(born_with(labels={"theirs": "x"}), False, id="another label"),
        pytest.param(
            born_with(containers=[{"name": "proxy", "image": "p"}, {"name": "replica", "image": "model:1"}]),
            False,
            id="a container beside it",
        ),
        pytest.param(born_with(image="model:2", generation=2), True, id="another image"),
        pytest.param(born_with(labels={names.RUN: "other"}), True, id="another run"),
        pytest.param(born_with(labels={names.DEPLOYMENT: "other"}), True, id="another deployment"),
    ],
)
def test_a_change_by_hand_is_seen(raw, altered):
    assert is_altered(parse(raw), LABELS, "model:1") is altered


def test_who_it_is_does_not_depend_on_its_labels():
    raw = born_with(labels={names.DEPLOYMENT: "other", names.REPLICA: "other"})
    raw["metadata"]["ownerReferences"][1]["name"] = "d-mine"
    seen = parse(raw)
    assert (seen.deployment_id, seen.replica_id, is_labelled(seen)) == ("mine", "rep", True)
    del raw["metadata"]["labels"][names.MANAGED_BY]
    assert not is_labelled(parse(raw))
