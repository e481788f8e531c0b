"""What a simulated kubelet does with its node and its pods, as stages of KWOK: a pure description.

What pods may be told to do is in `states`.
"""

from textwrap import dedent
from typing import Any

from tests.support.kubelab.states import (
    CANNOT_START,
    EXIT_CODE,
    MESSAGE,
    PULL_FAILS,
    READY_DELAY,
    REJECTED,
    RUNNING_BADLY,
    STATE,
    STATE_VARIABLE,
    STILL_CREATING,
    STOP_DELAY,
    State,
)

_OF_STATE = (
    f'(.metadata.annotations["{STATE}"] // '
    f'([.spec.containers[0].env[]? | select(.name == "{STATE_VARIABLE}") | .value] | .[0]) // '
    f'"{State.READY}")'
)

_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'
_WAITING_REASON = ".status.containerStatuses[0].state.waiting.reason"
_RUNS_UNREADY = (
    "(.status.containerStatuses[0].state.running != null and "
    '([.status.conditions[]? | select(.type == "Ready") | .status] | .[0]) == "False")'
)

_PREAMBLE = dedent("""\
    {{ $now := Now }}{{ $root := . }}{{ $annotations := or .metadata.annotations dict }}
    {{ $state := index $annotations "%(state)s" }}
    {{ if not $state }}{{ range (index .spec.containers 0).env }}
    {{ if eq .name "%(variable)s" }}{{ $state = .value }}{{ end }}
    {{ end }}{{ end }}
    {{ $message := or (index $annotations "%(message)s") "" }}
    """) % {"state": STATE, "variable": STATE_VARIABLE, "message": MESSAGE}

_ADDRESSES = dedent("""\
    {{ with NodeIPsWith .spec.nodeName }}
    hostIP: {{ index . 0 | Quote }}
    hostIPs: [{ip: {{ index . 0 | Quote }}}]
    {{ end }}
    startTime: {{ or .status.startTime $now | Quote }}
    """)
_POD_ADDRESSES = dedent("""\
    {{ if not .status.podIP }}
    {{ with PodIPsWith .spec.nodeName (or .spec.hostNetwork false) (or .metadata.uid "")
       (or .metadata.name "") (or .metadata.namespace "") }}
    podIP: {{ index . 0 | Quote }}
    podIPs: [{ip: {{ index . 0 | Quote }}}]
    {{ end }}{{ end }}
    """)

_ENDED = (
    dedent("""\
    {{ $code := or (index $annotations "%s") "1" }}{{ $reason := "Error" }}
    {{ if eq $code "0" }}{{ $reason = "Completed" }}{{ end }}
    {{ if eq $state "OOMKilled" }}{{ $code = "137" }}{{ $reason = "OOMKilled" }}{{ end }}
    {{ $ended := printf `{reason: %%s, exitCode: %%s, startedAt: %%q, finishedAt: %%q, message: %%q}`
       $reason $code $now $now $message }}
    {{ $is := `{waiting: {reason: CrashLoopBackOff, message: "back-off 10s restarting failed container"}}` }}
    {{ if eq $state "Error" }}{{ $is = printf `{terminated: %%s}` $ended }}{{ end }}
    """)
    % EXIT_CODE
)


def stages(version: str) -> list[dict[str, Any]]:
    """All of them. version: what the simulated kubelets say theirs is."""
    return [*_node_stages(version), *_pod_stages()]


def _pod_stages() -> list[dict[str, Any]]:
    alive = [_absent(".metadata.deletionTimestamp"), _none_of(".status.phase", "Failed", "Succeeded")]
    stages = [
        _stage(
            "pod-starting",
            [
                *alive,
                _one_of(_OF_STATE, State.READY),
                _present(f'.metadata.annotations["{READY_DELAY}"]'),
                _absent(".status.podIP"),
            ],
            _status(_running(ready=False, reason="ContainersNotReady")),
        ),
        _stage(
            "pod-ready",
            [
                *alive,
                _one_of(_OF_STATE, State.READY),
                _none_of(_READY, "True"),
                _one_of(f'(.metadata.annotations["{READY_DELAY}"] == null or .status.podIP != null)', "true"),
            ],
            _status(_running(ready=True)),
            delay=READY_DELAY,
        ),
        _stage(
            "pod-not-ready",
            [*alive, _one_of(_OF_STATE, State.NOT_READY), _one_of(_RUNS_UNREADY, "false")],
            _event("Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
            _status(_running(ready=False, reason="ContainersNotReady")),
        ),
        _stage(
            "pod-waiting",
            [
                *alive,
                _one_of(_OF_STATE, *PULL_FAILS, *CANNOT_START),
                _one_of(f"({_OF_STATE} == {_WAITING_REASON})", "false"),
            ],
            _event("Warning", "Failed", "Error: see the status of the container"),
            _status(_waiting("{{ $state | Quote }}")),
        ),
        _stage(
            "pod-crashed",
            [*alive, _one_of(_OF_STATE, *RUNNING_BADLY)],
            _event("Warning", "BackOff", "Back-off restarting failed container"),
            _status(_crashed()),
            delay_ms=1000,
        ),
        _stage(
            "pod-rejected",
            [*alive, _one_of(_OF_STATE, *REJECTED)],
            _status(_rejected()),
        ),
        _stage(
            "pod-deleted",
            [_present(".metadata.deletionTimestamp")],
            {"delete": True},
            delay=STOP_DELAY,
        ),
    ]
    for state, (kind, reason, message) in STILL_CREATING.items():
        stages.append(
            _stage(
                f"pod-{state.lower()}",
                [*alive, _one_of(_OF_STATE, state), _none_of(_WAITING_REASON, "ContainerCreating")],
                _event(kind, reason, message),
                _status(_waiting('"ContainerCreating"')),
            )
        )
    return stages


def _running(*, ready: bool, reason: str = "") -> str:
    return (
        _conditions(ready=ready, reason=reason)
        + _containers(
            f"ready: {str(ready).lower()}, started: true, restartCount: {{{{ $count }}}}, "
            "lastState: {{ $last | toJson }}, "
            'state: {running: {startedAt: {{ dig "state" "running" "startedAt" $now $o | Quote }}}}'
        )
        + _ADDRESSES
        + _POD_ADDRESSES
        + "phase: Running\n"
    )


def _waiting(reason: str) -> str:
    return (
        _conditions(ready=False, reason="ContainersNotReady")
        + _containers(
            "ready: false, started: false, restartCount: {{ $count }}, lastState: {{ $last | toJson }}, "
            f"state: {{waiting: {{reason: {reason}, message: {{{{ $message | Quote }}}}}}}}"
        )
        + _ADDRESSES
        + "phase: Pending\n"
    )


def _crashed() -> str:
    return (
        _ENDED
        + _conditions(ready=False, reason="ContainersNotReady")
        + _containers(
            "ready: false, started: false, restartCount: {{ add $count 1 }}, "
            "state: {{ $is }}, lastState: {terminated: {{ $ended }}}"
        )
        + _ADDRESSES
        + _POD_ADDRESSES
        + "phase: Running\n"
    )


def _rejected() -> str:
    return (
        "phase: Failed\nreason: {{ $state | Quote }}\nmessage: {{ $message | Quote }}\n"
        + _conditions(ready=False, reason="PodFailed")
        + _ADDRESSES
    )


def _conditions(*, ready: bool, reason: str) -> str:
    """Merged by their type, so what others say (PodScheduled) stays. An empty reason takes one away."""
    status = '"True"' if ready else '"False"'
    of_ready = f'status: {status}, reason: "{reason}", message: {{{{ $message | Quote }}}}'
    moment = "lastTransitionTime: {{ $now | Quote }}"
    return (
        "conditions:\n"
        f'- {{type: Initialized, status: "True", {moment}}}\n'
        f"- {{type: Ready, {of_ready}, {moment}}}\n"
        f"- {{type: ContainersReady, {of_ready}, {moment}}}\n"
    )


def _containers(fields: str) -> str:
    """One entry for each container, from what is known of it already: `$o`, `$count` and `$last`."""
    return (
        "containerStatuses:\n"
        "{{ range .spec.containers }}{{ $c := . }}{{ $o := dict }}\n"
        "{{ range $root.status.containerStatuses }}{{ if eq .name $c.name }}{{ $o = . }}{{ end }}{{ end }}\n"
        "{{ $count := int (or $o.restartCount 0) }}{{ $last := or $o.lastState dict }}\n"
        '- {name: {{ $c.name | Quote }}, image: {{ $c.image | Quote }}, imageID: "", ' + fields + "}\n"
        "{{ end }}\n"
    )


_NODE_CONDITIONS = dedent("""\
    {{ $now := Now }}{{ $since := or .metadata.creationTimestamp $now }}
    conditions:
    {{ range NodeConditions }}
    - type: {{ .type | Quote }}
      status: {{ .status | Quote }}
      reason: {{ .reason | Quote }}
      message: {{ .message | Quote }}
      lastHeartbeatTime: {{ $now | Quote }}
      lastTransitionTime: {{ $since | Quote }}
    {{ end }}
    """)

_NODE_ITSELF = dedent("""\
    addresses:
    - {type: InternalIP, address: {{ NodeIP | Quote }}}
    - {type: Hostname, address: {{ NodeName | Quote }}}
    daemonEndpoints: {kubeletEndpoint: {Port: {{ NodePort }}}}
    nodeInfo:
      {architecture: amd64, operatingSystem: linux, osImage: simulated, kernelVersion: simulated,
       bootID: "", machineID: "", systemUUID: "",
       containerRuntimeVersion: simulated, kubeletVersion: "v%s", kubeProxyVersion: ""}
    phase: Running
    """)


def _node_stages(version: str) -> list[dict[str, Any]]:
    """A node is Ready as soon as it is there, and again after a silence; its lease says that it lives."""
    ready = _stage(
        "node-ready",
        [_none_of(_READY, "True")],
        _status(_NODE_CONDITIONS + _NODE_ITSELF % version, preamble=""),
        kind="Node",
    )
    heartbeat = _stage(
        "node-heartbeat",
        [_one_of(".status.phase", "Running"), _one_of(_READY, "True")],
        _status(_NODE_CONDITIONS, preamble=""),
        kind="Node",
        delay_ms=300_000,
    )
    return [ready, heartbeat]


def _stage(
    name: str, when: list[Any], *steps: Any, delay: str = "", delay_ms: int = 0, kind: str = "Pod"
) -> dict[str, Any]:
    """delay: the annotation that says how long, beside which `delay_ms` is what holds without it."""
    how_long: dict[str, Any] = {"durationMilliseconds": delay_ms}
    if delay:
        how_long["durationFrom"] = {"jq": {"expression": f'.metadata.annotations["{delay}"]'}}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "delay": how_long,
            "steps": list(steps),
        },
    }


def _status(template: str, *, preamble: str = _PREAMBLE) -> dict[str, Any]:
    return {"patch": {"subresource": "status", "root": "status", "template": preamble + template}}


def _event(kind: str, reason: str, message: str) -> dict[str, Any]:
    return {"event": {"type": kind, "reason": reason, "message": message}}


def _matches(key: str, operator: str, *values: str) -> dict[str, Any]:
    found: dict[str, Any] = {"key": key, "operator": operator}
    if values:
        found["values"] = [str(value) for value in values]
    return {"jq": found}


def _one_of(key: str, *values: str) -> dict[str, Any]:
    return _matches(key, "In", *values)


def _none_of(key: str, *values: str) -> dict[str, Any]:
    return _matches(key, "NotIn", *values)


def _present(key: str) -> dict[str, Any]:
    return _matches(key, "Exists")


def _absent(key: str) -> dict[str, Any]:
    return _matches(key, "DoesNotExist")
