"""The checks of a template as the kubelet's probes, one to one. Pure."""

from typing import Any, Final

from libs.common.spec.model import HealthCheck
from libs.common.spec.template import Template

_BY_CONNECTING: Final = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1}


def make_probes(template: Template, *, condemned_s: int) -> dict[str, Any]:
    """The probes of the container. Without a readiness check it is ready while its first port accepts.

    condemned_s: the seconds that a container has to end in which a startup or liveness check has condemned.
    """
    checks = template.health_checks
    probes: dict[str, Any] = {
        "readinessProbe": {"tcpSocket": {"port": template.ports[0]}, **_BY_CONNECTING},
    }
    if checks is None:
        return probes
    if checks.readiness is not None:
        probes["readinessProbe"] = _probe(checks.readiness, template)
    if checks.startup is not None:
        probes["startupProbe"] = _probe(checks.startup, template)
    if checks.liveness is not None:
        probes["livenessProbe"] = _probe(checks.liveness, template)
    for name in ("startupProbe", "livenessProbe"):
        if name in probes:
            probes[name]["terminationGracePeriodSeconds"] = condemned_s
    return probes


def _probe(check: HealthCheck, template: Template) -> dict[str, Any]:
    return {
        **_action(check, template),
        "initialDelaySeconds": check.initial_delay_seconds,
        "periodSeconds": check.period_seconds,
        "timeoutSeconds": check.timeout_seconds,
        "failureThreshold": check.failure_threshold,
    }


def _action(check: HealthCheck, template: Template) -> dict[str, Any]:
    if check.exec is not None:
        return {"exec": {"command": list(check.exec.command)}}
    headers = [(header.name, header.value) for header in check.headers]
    if check.host is not None:
        headers.append(("Host", check.host))
    http: dict[str, Any] = {"path": check.path, "port": check.port or template.ports[0]}
    if headers:
        http["httpHeaders"] = [{"name": name, "value": value} for name, value in headers]
    return {"httpGet": http}
