"""Each word that a kubelet has for why a pod does not run, as the reason of its replica."""

from datetime import timedelta

import pytest

from libs.common.cluster.port import ReplicaPhase
from libs.common.state.replica import Roster, record
from services.health.verdicts import decide
from tests.unit.cluster.kubernetes.test_pods import (
    PENDING,
    RUNNING,
    STOPPING,
    at,
    condition,
    container,
    ended,
    pod,
    seen,
    waiting,
)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        *((word, "image_pull") for word in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")),
        *(
            (word, "cannot_start")
            for word in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
        ),
    ],
)
def test_every_word_of_a_container_that_cannot_be_made_is_known(word, reason):
    shown = seen(pod(status=waiting(word)))
    assert (shown.phase, shown.reason, shown.message) == (PENDING, reason, word)


@pytest.mark.parametrize(
    "word", ["UnexpectedAdmissionError", "OutOfcpu", "OutOfnvidia.com/gpu", "NodeShutdown"]
)
def test_every_word_by_which_a_kubelet_refuses_is_told(word):
    shown = seen(pod(status={"phase": "Failed", "reason": word, "message": "no"}))
    assert (shown.phase, shown.reason, shown.message) == (STOPPING, "rejected", f"{word}: no")


def test_what_ends_with_its_node_is_evicted():
    ends = condition("DisruptionTarget", "True", "TerminationByKubelet", "the node shuts down")
    shown = seen(pod(status={"phase": "Failed", "reason": "Terminated", **ends}))
    assert (shown.phase, shown.reason, shown.message) == (STOPPING, "evicted", "the node shuts down")


NO_PROGRAM = 'runc create failed: unable to start container process: exec: "/no": stat /no: no such file'


def not_started(word="StartError"):
    """As containerd tells it, with the first second of all."""
    return {**ended(128, word), "startedAt": "1970-01-01T00:00:00Z", "message": NO_PROGRAM}


def backs_off(restarts, last):
    said = f"back-off {10 * restarts}s restarting failed container=replica pod=r-rep_ns(u-1)"
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": said}}
    return pod(status=container(state, restarts=restarts, last=last))


@pytest.mark.parametrize("word", ["StartError", "ContainerCannotRun"])
def test_what_the_runtime_cannot_start_says_so_while_the_kubelet_backs_off_too(word):
    for raw in (
        backs_off(1, not_started(word)),
        pod(status=container({"terminated": not_started(word)})),
        pod(status=container({"waiting": {"reason": "RunContainerError", "message": NO_PROGRAM}})),
    ):
        shown = seen(raw)
        assert (shown.phase, shown.reason, shown.message) == (PENDING, "cannot_start", NO_PROGRAM)
        assert (shown.started_at, shown.restart_at) == (None, None)


def test_what_runs_at_last_was_not_started_before():
    shown = seen(pod(status=container(RUNNING, restarts=1, last=not_started())))
    assert (shown.phase, shown.reason, shown.started_at) == (ReplicaPhase.RUNNING, None, at(2))
    assert (shown.last_exit.reason, shown.last_exit.message) == ("cannot_start", NO_PROGRAM)


def test_however_often_it_is_tried_it_is_told_once_that_it_cannot_start():
    tries = [waiting("ContainerCreating")]
    for restarts in range(8):
        failed = {"waiting": {"reason": "RunContainerError", "message": NO_PROGRAM}}
        tries.append(container(failed, restarts=restarts, last=not_started(), phase="Pending"))
        tries.append(backs_off(restarts, not_started())["status"])
    roster, told = Roster(), []
    for number, status in enumerate(tries):
        facts = decide(roster, [seen(pod(status=status))], {}, now=at(1) + timedelta(seconds=number))
        _, roster = record(roster, facts)
        told += facts
    reasons = [(fact.event_type(), fact.replica.reason, fact.replica.message) for fact in told]
    assert [(reason, message) for _, reason, message in reasons] == [
        ("spawned", None),
        ("cannot_start", NO_PROGRAM),
    ]


def of_model(reason, message):
    raw = pod(status=waiting(reason, message))
    raw["spec"]["containers"] = [{"name": "replica", "image": "registry.example/model:1"}]
    return seen(raw)


@pytest.mark.parametrize(
    "answer", ["pull QPS exceeded", "rpc error: code = Unknown desc = unauthorized: authentication required"]
)
def test_an_answer_that_does_not_name_the_image_has_it_before_it(answer):
    told = f"registry.example/model:1: {answer}"
    assert of_model("ErrImagePull", answer).message == told
    backs_off = f'Back-off pulling image "registry.example/model:1": ErrImagePull: {answer}'
    assert of_model("ImagePullBackOff", backs_off).message == told


def test_the_image_is_named_where_there_is_no_answer_and_once_where_it_names_it():
    assert of_model("ImagePullBackOff", "").message == "registry.example/model:1: ImagePullBackOff"
    answer = 'failed to pull and unpack image "registry.example/model:1": not found'
    assert of_model("ErrImagePull", answer).message == answer
