"""What an answer of the API server that is no success means for whoever asked. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from libs.common.errors import CannotApply, ClusterUnavailable, DeploymentUnavailable, SpecstreamError


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, in Kubernetes' words."""

    verb: str
    """`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`."""
    resource: str
    """Such as `pods`."""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}"


class NotThere(SpecstreamError):
    """There is no such object (404)."""


class Conflicting(SpecstreamError):
    """It is there already, or not as the request supposed it to be (409)."""


class Gone(SpecstreamError):
    """The resource version is too old to go on from (410)."""


class Unauthorized(ClusterUnavailable):
    """The credentials are not taken (401)."""


class Forbidden(ClusterUnavailable):
    """We have no right to it (403)."""


_QUOTA = "exceeded quota"
_LACKING = ("no PriorityClass with name", "pod rejected: RuntimeClass")
_POLICIES = (
    "violates PodSecurity",
    "denied the request",
    "denied request",
    "usage per Container is",
    "usage per Pod is",
    "limit to request ratio",
)
"""What policies say that refuse an object for what is in it, with whatever status; LimitRange says the
`usage`."""

_FIELD = re.compile(r"\bspec\.(?:containers\[\d+\]\.)?(?P<name>\w+)")
_IN_THE_SPEC: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image": "image",
        "command": "command",
        "env": "env",
        "ports": "resources.ports",
        "readinessProbe": "healthChecks.readiness",
        "livenessProbe": "healthChecks.liveness",
        "startupProbe": "healthChecks.startup",
        "resources": "resources.machineType",
        "volumeMounts": "resources.machineType",
        "volumes": "resources.machineType",
        "nodeSelector": "resources.machineType",
        "tolerations": "resources.machineType",
        "priorityClassName": "resources.machineType",
        "runtimeClassName": "resources.machineType",
    }
)
"""Where a field of a pod is in the spec that it was made from."""


def understand(asked: Asked, status: int, body: str) -> SpecstreamError:
    """The error to raise.

    | status                                   | means                                                       |
    |------------------------------------------|-------------------------------------------------------------|
    | any by a policy                          | this can never be applied                                   |
    | 401                                      | the cluster is unavailable: credentials                     |
    | 403 for a quota                          | this deployment has to wait                                 |
    | 403 for a class that is missing          | this deployment has to wait                                 |
    | 400, 413, 422                            | this can never be applied                                   |
    | any other 403                            | the cluster is unavailable: rights, naming verb and kind    |
    | 404, 409, 410                            | as they are called above                                    |
    | 500 because a webhook does not answer    | this deployment has to wait                                 |
    | 404 because the namespace is missing, any other | the cluster is unavailable                           |
    """
    message = _message(body) or f"HTTP {status}"
    said = f"{asked}: {message}"
    match status:
        case _ if any(policy in message for policy in _POLICIES):
            return CannotApply(f"a policy of the cluster refuses it: {_with_place(message)}")
        case 401:
            return Unauthorized(
                f"the Kubernetes API server does not take the credentials of the kubeconfig ({said})"
            )
        case 403 if _QUOTA in message:
            return DeploymentUnavailable(f"quota: {said}")
        case 403 if any(lacking in message for lacking in _LACKING):
            return DeploymentUnavailable(f"cannot_start: {said}")
        case 403:
            return Forbidden(
                f"Kubernetes does not allow us to {asked.verb} {asked.resource}: {message}; "
                "infra/kubernetes/replicas has the rights that are needed"
            )
        case 404 if "namespaces " in message:
            return ClusterUnavailable(
                f"SPECSTREAM_KUBE_NAMESPACE: {message}; infra/kubernetes/replicas makes it"
            )
        case 404:
            return NotThere(said)
        case 409:
            return Conflicting(said)
        case 410:
            return Gone(said)
        case 400 | 413 | 422:
            return CannotApply(f"the Kubernetes API server refuses it: {_with_place(message)}")
        case 500 if "failed calling webhook" in message:
            return DeploymentUnavailable(said)
    return ClusterUnavailable(f"the Kubernetes API server answers {said}")


def _with_place(message: str) -> str:
    """And where in the spec that is, where the message names a field."""
    named = (_IN_THE_SPEC.get(found["name"]) for found in _FIELD.finditer(message))
    places = ", ".join(dict.fromkeys(place for place in named if place is not None))
    return f"{message}; in the spec: {places}" if places else message


def _message(body: str) -> str:
    """Of the `Status` object that an answer is."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        return body.strip()[:500]
    return str(status.get("message", "")) if isinstance(status, dict) else ""
