"""Each word that a kubelet has for why a pod does not run, as the reason of its replica."""

import pytest

from tests.unit.cluster.kubernetes.test_pods import PENDING, STOPPING, condition, pod, seen, waiting


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
