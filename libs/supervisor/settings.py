"""What `up` and `down` are told: one frozen object, read from the environment and checked at once.

Plain dataclass: the supervisor stays resident, so it imports nothing heavy.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from libs.common.domain import ALLOWED, USUAL, parse_domain
from libs.common.services import MOST_COPIES, MOST_ROUTERS, SERVICES
from libs.common.spec import regions
from libs.supervisor.errors import CannotStart
from libs.supervisor.misspelt import misspelt

T = TypeVar("T")

CLUSTERS = ("local", "kubernetes")
POD_SECURITY = ("restricted", "baseline")
METRICS = ("otlp", "prometheus")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

DEFAULT_HOME = "~/.specstream"

ROOT = Path(__file__).resolve().parents[2]
"""The checkout that this file belongs to."""

LEAST_METRICS_BYTES = 64 * 1024 * 1024
MOST_METRICS_BYTES = 1024**4


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    home: Path
    """The directory that holds all state; absolute."""
    api_port: int = 8080
    edge_port: int = 8081
    domain: str = USUAL
    """That of the host names of endpoints."""
    more_edge_ports: tuple[int, ...] = ()
    """Of further edges: for each there is a router with an Envoy of its own."""
    api_key: str | None = field(default=None, repr=False)
    """The API key; None for the one kept in the home."""
    grace_seconds: float = 10.0
    """The time between SIGTERM and SIGKILL."""
    drain_deadline_seconds: float = 30.0
    """How long a retiring replica may finish its requests."""
    rollout_seconds: float = 1800.0
    """How long it may take until a spec is healthy, before its rollout is called stalled."""
    upload_deadline_seconds: float = 600.0
    """How long a client may take to send a request."""
    envoy_heap_mib: int = 2048
    """The memory in which Envoy has to get along."""
    disk_reserve_mib: int = 64
    """Room kept beside the log, so that deleting works when the disk is full; 0 keeps none."""
    usage_seconds: float = 15.0
    """Between two measurements of what the replicas use."""
    request_window_seconds: float = 300.0
    """What the duration of requests is averaged over when it is scaled by."""
    metrics_max_bytes: int = 1024 * 1024 * 1024
    """The room of what was measured, on the disk of the api."""
    machine_types: Path | None = None
    """The file that lists them; absolute. None for the bundled list."""
    log_level: str = "INFO"
    metrics: str = "otlp"
    """Whether metrics are sent (`otlp`), or read at a port of each service (`prometheus`)."""
    metrics_deployments: int = 200
    """How many deployments have series of their own in the metrics of a service."""
    cluster: str = "local"
    """Where replicas run: `local`, on this machine, or `kubernetes`."""
    kubeconfig: Path | None = None
    """Of the Kubernetes cluster; absolute."""
    kube_namespace: str | None = None
    """Where the replicas are there, if not where the services have it."""
    kube_pod_security: str = "restricted"
    """The level of the Pod Security Standards that they keep to there."""
    regions: tuple[str, ...] = ()
    """Those that a spec may name."""
    copies: int = 1
    """How many processes there are of each service that may have several."""
    node_lost_seconds: float = 60.0
    """How long a node may be silent before its replicas are replaced."""
    move_seconds: float = 600.0
    """How long there may be no place for what replaces a replica on a node that ends."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """The module that is run for each service; a program that composes a service differently takes its place
    by `SPECSTREAM_MODULE_<SERVICE>`."""
    root: Path = ROOT
    """The checkout."""

    def module(self, service: str) -> str:
        return self.modules.get(service, f"services.{service}")


def from_environment(environment: Mapping[str, str]) -> SupervisorSettings:
    """Settings from `SPECSTREAM_*`; a variable that is empty counts as not set.

    Raises CannotStart naming every variable that is wrong, its value and what is allowed, and each whose name
    is nearly that of a setting.
    """
    problems: list[str] = []
    known: set[str] = {"SPECSTREAM_URL", *(f"SPECSTREAM_MODULE_{service.upper()}" for service in SERVICES)}

    def read(name: str, default: T, parse: Callable[[str], T], allowed: str) -> T:
        known.add(name)
        text = environment.get(name, "")
        if not text:
            return default
        try:
            return parse(text)
        except ValueError:
            shown = "its value" if name == "SPECSTREAM_API_KEY" else repr(text)
            problems.append(f"{name}: {shown} is not {allowed}")
            return default

    settings = SupervisorSettings(
        home=read("SPECSTREAM_HOME", _path(DEFAULT_HOME), _path, "a path"),
        api_port=read("SPECSTREAM_API_PORT", 8080, _port, "a port from 1 to 65535"),
        edge_port=read("SPECSTREAM_EDGE_PORT", 8081, _port, "a port from 1 to 65535"),
        domain=read("SPECSTREAM_DOMAIN", USUAL, parse_domain, ALLOWED),
        more_edge_ports=read(
            "SPECSTREAM_MORE_EDGE_PORTS",
            (),
            _more_ports,
            f"at most {MOST_ROUTERS - 1} ports from 1 to 65535, separated by commas",
        ),
        api_key=read("SPECSTREAM_API_KEY", None, _api_key, "printable ASCII without spaces"),
        grace_seconds=read(
            "SPECSTREAM_GRACE_SECONDS", 10.0, _seconds, "a number of seconds above 0, at most 3600"
        ),
        drain_deadline_seconds=read(
            "SPECSTREAM_DRAIN_DEADLINE_SECONDS", 30.0, _seconds, "a number of seconds above 0, at most 3600"
        ),
        rollout_seconds=read(
            "SPECSTREAM_ROLLOUT_SECONDS", 1800.0, _long_seconds, "a number of seconds above 0, at most 604800"
        ),
        upload_deadline_seconds=read(
            "SPECSTREAM_UPLOAD_DEADLINE_SECONDS", 600.0, _seconds, "a number of seconds above 0, at most 3600"
        ),
        envoy_heap_mib=read(
            "SPECSTREAM_ENVOY_HEAP_MIB", 2048, _heap_mib, "a number of MiB from 64 to 1048576"
        ),
        disk_reserve_mib=read(
            "SPECSTREAM_DISK_RESERVE_MIB", 64, _mebibytes, "a whole number of MiB from 0 to 65536"
        ),
        usage_seconds=read(
            "SPECSTREAM_USAGE_SECONDS", 15.0, _usage_seconds, "a number of seconds from 0.5 to 300"
        ),
        request_window_seconds=read(
            "SPECSTREAM_REQUEST_WINDOW_SECONDS", 300.0, _window_seconds, "a number of seconds from 1 to 3600"
        ),
        metrics_max_bytes=read(
            "SPECSTREAM_METRICS_MAX_BYTES",
            1024 * 1024 * 1024,
            _metrics_bytes,
            f"a whole number of bytes from {LEAST_METRICS_BYTES} to {MOST_METRICS_BYTES}",
        ),
        machine_types=read("SPECSTREAM_MACHINE_TYPES", None, _path, "a path"),
        log_level=read("SPECSTREAM_LOG_LEVEL", "INFO", _log_level, "one of " + ", ".join(LOG_LEVELS)),
        metrics=read("SPECSTREAM_METRICS", "otlp", _metrics, "one of " + ", ".join(METRICS)),
        metrics_deployments=read(
            "SPECSTREAM_METRICS_DEPLOYMENTS", 200, _deployments, "a whole number from 0 to 10000"
        ),
        cluster=read("SPECSTREAM_CLUSTER", "local", _cluster, "one of " + ", ".join(CLUSTERS)),
        kubeconfig=read("SPECSTREAM_KUBECONFIG", None, _file, "the path of a kubeconfig"),
        kube_namespace=read(
            "SPECSTREAM_KUBE_NAMESPACE",
            None,
            _namespace,
            "the name of a namespace: at most 63 of a-z, 0-9 and -, a letter or digit first and last",
        ),
        kube_pod_security=read(
            "SPECSTREAM_KUBE_POD_SECURITY",
            "restricted",
            _pod_security,
            "one of " + ", ".join(POD_SECURITY),
        ),
        copies=read("SPECSTREAM_COPIES", 1, _copies, f"a whole number from 1 to {MOST_COPIES}"),
        regions=read("SPECSTREAM_REGIONS", (), regions.parse_regions, regions.ALLOWED),
        node_lost_seconds=read(
            "SPECSTREAM_NODE_LOST_SECONDS", 60.0, _node_lost, "a number of seconds from 10 to 3600"
        ),
        move_seconds=read(
            "SPECSTREAM_MOVE_SECONDS", 600.0, _seconds, "a number of seconds above 0, at most 3600"
        ),
        modules={
            service: module
            for service in SERVICES
            if (module := environment.get(f"SPECSTREAM_MODULE_{service.upper()}"))
        },
    )
    if settings.api_port == settings.edge_port:
        problems.append(
            f"SPECSTREAM_API_PORT and SPECSTREAM_EDGE_PORT: both are {settings.api_port}; they must differ"
        )
    taken = {settings.api_port, settings.edge_port}
    for port in settings.more_edge_ports:
        if port in taken:
            problems.append(f"SPECSTREAM_MORE_EDGE_PORTS: {port} is taken already; each port must be another")
        taken.add(port)
    problems += (
        f"{name}: there is no such setting; did you mean {meant}?"
        for name, meant in misspelt(filter(environment.get, environment), known)
    )
    if problems:
        raise CannotStart("\n".join(problems))
    return settings


def _path(text: str) -> Path:
    if "\0" in text or "\n" in text:
        raise ValueError(text)
    try:
        return Path(text).expanduser().resolve()
    except RuntimeError as error:  # no home directory to expand ~ to
        raise ValueError(text) from error


def _cluster(text: str) -> str:
    if text not in CLUSTERS:
        raise ValueError(text)
    return text


def _pod_security(text: str) -> str:
    if text not in POD_SECURITY:
        raise ValueError(text)
    return text


def _copies(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_COPIES:
        raise ValueError(text)
    return number


def _deployments(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 10_000:
        raise ValueError(text)
    return number


def _metrics(text: str) -> str:
    if text not in METRICS:
        raise ValueError(text)
    return text


def _file(text: str) -> Path:
    path = _path(text)
    if not path.is_file():
        raise ValueError(text)
    return path


def _namespace(text: str) -> str:
    if re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", text) is None:
        raise ValueError(text)
    return text


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(text)
    return port


def _more_ports(text: str) -> tuple[int, ...]:
    ports = tuple(_port(part) for part in text.split(","))
    if len(ports) >= MOST_ROUTERS:
        raise ValueError(text)
    return ports


def _heap_mib(text: str) -> int:
    size = int(text)
    if not 64 <= size <= 1024 * 1024:
        raise ValueError(text)
    return size


def _seconds(text: str, *, most: float = 3600) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and 0 < seconds <= most):
        raise ValueError(text)
    return seconds


def _long_seconds(text: str) -> float:
    return _seconds(text, most=604_800)


def _node_lost(text: str) -> float:
    seconds = _seconds(text)
    if seconds < 10:
        raise ValueError(text)
    return seconds


def _usage_seconds(text: str) -> float:
    seconds = float(text)
    if not 0.5 <= seconds <= 300:
        raise ValueError(text)
    return seconds


def _window_seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise ValueError(text)
    return seconds


def _metrics_bytes(text: str) -> int:
    number = int(text)
    if not LEAST_METRICS_BYTES <= number <= MOST_METRICS_BYTES:
        raise ValueError(text)
    return number


def _mebibytes(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65536:
        raise ValueError(text)
    return number


def _api_key(text: str) -> str:
    if not all("!" <= character <= "~" for character in text):
        raise ValueError
    return text


def _log_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ValueError(text)
    return text.upper()
