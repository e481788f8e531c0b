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


_READS: Final = frozenset({"get", "list", "watch"})
_RIGHTS: Final = re.compile(
    r"""User ".*" cannot \w"""
    r"|cannot set an ownerRef on a resource you can't delete"
    r"|cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"
)
"""What authorizers say, whichever there are. Only they stand between a read and its answer."""
_QUOTAS: Final = (
    "exceeded quota: ",
    "failed quota: ",
    "status unknown for quota: ",
    "insufficient quota to ",
)
_LACKING: Final = (
    "no PriorityClass with name",
    "pod rejected: RuntimeClass",
    "error looking up service account",
)
_CLOSED: Final = "because it is being terminated"
"""The namespace."""
_STARTING: Final = "not yet ready to handle request"
"""The API server."""
_POLICIES: Final = (
    "violates PodSecurity",
    "denied the request",
    "denied request",
    "usage per Container is",
    "usage per Pod is",
    "limit to request ratio",
    "image policy webhook backend denied",
    "images rejected by webhook backend",
    "namespace node label selector",
    "conflict with its namespace whitelist",
    "conflict with its cluster whitelist",
    "conflict: runtimeClass.scheduling",
    "doesn't match RuntimeClass's defined Overhead",
)
"""What policies say that refuse an object for what is in it, with whatever status; LimitRange says the
`usage`."""
_OF_AN_OBJECT: Final = " is forbidden: "
"""In every 403 of the API server itself; what stands before it has other words."""

_FAILED_CHECK: Final = "[-]"
"""Begins the line of what the API server itself lacks, as `/readyz` names it."""

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
    | 403 by an authorizer, or to a read       | the cluster is unavailable: rights, naming verb and kind    |
    | any by a policy                          | this can never be applied                                   |
    | 401                                      | the cluster is unavailable: credentials                     |
    | 403 for a quota                          | this deployment has to wait                                 |
    | 403 for a class or an account that is    | this deployment has to wait                                 |
    | missing                                  |                                                             |
    | 403 because the namespace ends, because  | the cluster is unavailable                                  |
    | the server starts, or by somebody else   |                                                             |
    | any other 403                            | this deployment has to wait                                 |
    | 400, 413, 422                            | this can never be applied                                   |
    | 404, 409, 410                            | as they are called above                                    |
    | 500 because a webhook does not answer    | this deployment has to wait                                 |
    | 404 because the namespace is missing, any other | the cluster is unavailable                           |
    """
    message = _message(body) or f"HTTP {status}"
    said = f"{asked}: {message}"
    match status:
        case 403 if asked.verb in _READS or _RIGHTS.search(message):
            return Forbidden(
                f"Kubernetes does not allow us to {asked.verb} {asked.resource}: {message}; "
                "infra/kubernetes/replicas has the rights that are needed"
            )
        case _ if _says_any(message, _POLICIES):
            return CannotApply(f"a policy of the cluster refuses it: {_with_place(message)}")
        case 401:
            return Unauthorized(
                f"the Kubernetes API server does not take the credentials of the kubeconfig ({said})"
            )
        case 403:
            return _not_admitted(message, said)
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
    return _no_answer(said)


def _not_admitted(message: str, said: str) -> SpecstreamError:
    """Of a 403 to a write that its asker may make and no policy refuses."""
    if _says_any(message, _QUOTAS):
        return DeploymentUnavailable(f"quota: {said}")
    if _says_any(message, _LACKING):
        return DeploymentUnavailable(f"cannot_start: {said}")
    if _CLOSED in message:
        return ClusterUnavailable(f"SPECSTREAM_KUBE_NAMESPACE: {message}")
    if _OF_AN_OBJECT in message and _STARTING not in message:
        return DeploymentUnavailable(said)
    return _no_answer(said)


def _no_answer(said: str) -> ClusterUnavailable:
    return ClusterUnavailable(f"the Kubernetes API server answers {said}")


def _says_any(message: str, words: tuple[str, ...]) -> bool:
    return any(word in message for word in words)


def _with_place(message: str) -> str:
    """And where in the spec that is, where the message names a field."""
    named = (_IN_THE_SPEC.get(found["name"]) for found in _FIELD.finditer(message))
    places = ", ".join(dict.fromkeys(place for place in named if place is not None))
    return f"{message}; in the spec: {places}" if places else message


def _message(body: str) -> str:
    """Of the `Status` object that an answer is, or of the lines that say what the server lacks."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        lacking = [line for line in body.splitlines() if line.startswith(_FAILED_CHECK)]
        return ("; ".join(lacking) or body.strip())[:500]
    return str(status.get("message", "")) if isinstance(status, dict) else ""
