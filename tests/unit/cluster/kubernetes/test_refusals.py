"""What an answer that is no success means."""

import json

import pytest

from libs.common.cluster.kubernetes.refusals import (
    Asked,
    Conflicting,
    Forbidden,
    Gone,
    NotThere,
    Unauthorized,
    understand,
)
from libs.common.errors import CannotApply, ClusterUnavailable, DeploymentUnavailable

CREATE = Asked("create", "pods", "r-1")


def answer(status, message):
    return understand(CREATE, status, json.dumps({"kind": "Status", "message": message}))


@pytest.mark.parametrize(
    ("status", "message", "error", "said"),
    [
        (401, "Unauthorized", Unauthorized, "does not take the credentials"),
        (
            403,
            'pods "r-1" is forbidden: exceeded quota: few, requested: pods=1',
            DeploymentUnavailable,
            "^quota: create pods r-1: .*exceeded quota: few",
        ),
        (
            403,
            'pods "r-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot',
            CannotApply,
            "violates PodSecurity.*runAsNonRoot",
        ),
        (
            403,
            'pods "r-1" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
            CannotApply,
            "maximum cpu",
        ),
        (
            403,
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            CannotApply,
            "denied request: no",
        ),
        (403, 'admission webhook "w" denied the request: no', CannotApply, "no"),
        *(
            (
                status,
                "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
                CannotApply,
                "a policy of the cluster refuses it: .* denied request: no",
            )
            for status in (401, 413, 422)
        ),
        (
            403,
            'pods "r-1" is forbidden: no PriorityClass with name high was found',
            DeploymentUnavailable,
            "^cannot_start: create pods r-1: .*no PriorityClass with name high",
        ),
        (
            403,
            'pods "r-1" is forbidden: pod rejected: RuntimeClass "gvisor" not found',
            DeploymentUnavailable,
            "^cannot_start: .*gvisor",
        ),
        (
            403,
            'pods is forbidden: User "u" cannot create resource "pods"',
            Forbidden,
            "does not allow us to create pods: .*User",
        ),
        (404, 'pods "r-1" not found', NotThere, "not found"),
        (404, 'namespaces "n" not found', ClusterUnavailable, 'namespaces "n" not found'),
        (409, "exists", Conflicting, "exists"),
        (410, "too old", Gone, "too old"),
        (
            422,
            "Pod is invalid: spec.containers[0].image: Required value",
            CannotApply,
            "image: Required value; in the spec: image$",
        ),
        (
            422,
            "[spec.containers[0].env[3].name: no, spec.containers[0].env[4].name: no, spec.nodeSelector: no]",
            CannotApply,
            "; in the spec: env, resources.machineType$",
        ),
        (500, 'failed calling webhook "w": timeout', DeploymentUnavailable, "failed calling webhook"),
        (500, "etcd is away", ClusterUnavailable, "create pods r-1: etcd is away"),
        (503, "", ClusterUnavailable, "HTTP 503"),
    ],
)
def test_what_it_means(status, message, error, said):
    raised = answer(status, message)
    assert type(raised) is error
    with pytest.raises(error, match=said):
        raise raised


def test_an_answer_that_is_none_of_the_api_servers():
    assert "<html>" in str(understand(CREATE, 502, "<html>bad gateway</html>"))
