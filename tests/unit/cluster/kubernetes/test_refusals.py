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


def answer(status, message, asked=CREATE):
    return understand(asked, status, json.dumps({"kind": "Status", "message": message}))


def forbidden(why):
    """As the API server says it of an object that it does not take."""
    return f'pods "r-1" is forbidden: {why}'


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
        *(
            (403, forbidden(said), DeploymentUnavailable, "^quota: create pods r-1: .* is forbidden")
            for said in (
                "failed quota: few: must specify limits.cpu for: replica",
                "status unknown for quota: few, resources: pods",
                "insufficient quota to consume: limits.cpu",
                "insufficient quota to match these scopes: [{PriorityClass In [high]}]",
            )
        ),
        *(
            (403, forbidden(said), CannotApply, f"a policy of the cluster refuses it: .*{said[:20]}")
            for said in (
                "image policy webhook backend denied one or more images: unsigned",
                "one or more images rejected by webhook backend",
                "pod node label selector conflicts with its namespace node label selector",
                "pod node label selector labels conflict with its namespace whitelist",
                "conflict: runtimeClass.scheduling.nodeSelector[a] = b; pod.spec.nodeSelector[a] = c",
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            )
        ),
        (
            403,
            forbidden('error looking up service account n/one: serviceaccount "one" not found'),
            DeploymentUnavailable,
            "^cannot_start: .*service account n/one",
        ),
        *(
            (403, forbidden(said), DeploymentUnavailable, "^create pods r-1: pods .*at this time|dial tcp")
            for said in (
                'Post "https://images.example/": dial tcp: no such host',
                "unable to create pods at this time because there was an error enforcing limit ranges",
            )
        ),
        *(
            (403, said, Forbidden, "does not allow us to create pods: .*; infra/kubernetes/replicas has")
            for said in (
                'pods is forbidden: User "u" cannot create resource "pods" in the namespace "n"',
                forbidden('User "u" cannot create resource "pods": denied request by the company'),
                'forbidden: User "system:anonymous" cannot get path "/api"',
                forbidden("cannot set an ownerRef on a resource you can't delete: , <nil>"),
            )
        ),
        (
            403,
            forbidden("unable to create new content in namespace n because it is being terminated"),
            ClusterUnavailable,
            "^SPECSTREAM_KUBE_NAMESPACE: .* being terminated$",
        ),
        (403, forbidden("not yet ready to handle request"), ClusterUnavailable, "not yet ready to handle"),
        (403, "access denied by the gateway", ClusterUnavailable, "answers create pods r-1: access denied"),
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


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
@pytest.mark.parametrize("message", ["", "access denied by the gateway", "denied the request"])
def test_what_keeps_from_reading_is_a_lack_of_rights(verb, message):
    refused = answer(403, message, Asked(verb, "nodes"))
    assert type(refused) is Forbidden
    assert str(refused).startswith(f"Kubernetes does not allow us to {verb} nodes: ")


def test_of_what_a_server_says_of_itself_only_what_it_lacks_is_named():
    said = "[+]ping ok\n" * 100 + "[-]etcd failed: reason withheld\nreadyz check failed\n"
    error = understand(Asked("get", "readyz"), 500, said)
    assert str(error) == "the Kubernetes API server answers get readyz: [-]etcd failed: reason withheld"
    assert isinstance(error, ClusterUnavailable)
