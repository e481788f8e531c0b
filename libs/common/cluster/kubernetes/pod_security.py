"""What a pod may do, by a level of the Pod Security Standards: that of the replicas' namespace. Pure."""

from typing import Any, Final, Literal

Level = Literal["restricted", "baseline"]

_SECCOMP: Final = {"seccompProfile": {"type": "RuntimeDefault"}}


def of_pod(level: Level) -> dict[str, Any]:
    """The security context of a pod. With `baseline` an image may run as root."""
    return {"runAsNonRoot": True, **_SECCOMP} if level == "restricted" else dict(_SECCOMP)


def of_container(level: Level) -> dict[str, Any]:
    """The security context of its container. With `baseline` it has the capabilities that a runtime gives by
    itself, without which little that expects to be root works."""
    none = {"capabilities": {"drop": ["ALL"]}} if level == "restricted" else {}
    return {"allowPrivilegeEscalation": False, **none}
