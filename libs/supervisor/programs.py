"""What each process of the platform is: its arguments, its environment, when it is stopped. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from libs.common.services import MOST_COPIES, MOST_ROUTERS, ROUTER, SERVICES, copy_name, processes_of
from libs.supervisor import envoy_config
from libs.supervisor.home import Home
from libs.supervisor.ports import HOST, Ports
from libs.supervisor.settings import SupervisorSettings
from libs.supervisor.users import MIRROR_USER

API = "api"
NATS = "nats"
ENVOY = "envoy"
PROVISION = "provision"
"""Runs once after each start of NATS, then ends."""

EVERY_COPY = tuple(
    name for service in SERVICES for name in processes_of(service, copies=MOST_COPIES, routers=MOST_ROUTERS)
)
"""The names of all processes that a platform may have of its services."""

ENVOYS = tuple(copy_name(ENVOY, number) for number in range(1, MOST_ROUTERS + 1))
"""The names of all Envoys that a platform may have; each belongs to the router of the same number."""

CALLED = (API, NATS, *ENVOYS)
"""Those that callers wait for, by a request or within one."""

STOP_ORDER: tuple[tuple[str, ...], ...] = ((PROVISION, *EVERY_COPY), ENVOYS, (NATS,))
"""Who is stopped together, one group after the other. The replicas end after the first group: while
services live they would be started again."""


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    """Variables that are set on top of the supervisor's own."""
    configuration: str = ""
    """What it reads at its start."""
    folder: Path | None = None
    """Its working directory; None for the checkout."""
    start_variable: str = ""
    """A variable that has another value at each start, and does not make a process out of date."""

    @property
    def launch(self) -> str:
        """Names exactly this way of starting it: a process with another one is out of date.

        Nobody outside of the platform can know it, since a secret of the home is in `configuration`. All
        else can be read or guessed, and a replica may call its environment what it likes.
        """
        content = json.dumps(
            [self.argv, sorted(self.environment.items()), self.configuration, str(self.folder)]
        )
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def nats_server(settings: SupervisorSettings, home: Home, *, configuration: str) -> Program:
    binary = settings.root / ".venv" / "bin" / "nats-server"
    return Program(NATS, (str(binary), "--config", str(home.nats_config)), {}, configuration)


def envoy(settings: SupervisorSettings, home: Home, *, configuration: str, number: int = 1) -> Program:
    """number: of the router that it belongs to."""
    # The script of the package replaces itself by the real binary, so the pid is Envoy's.
    binary = settings.root / ".envoy" / "bin" / "envoy"
    folder = home.envoy(number)
    argv = (str(binary), "--config-path", str(folder / envoy_config.BOOTSTRAP), *envoy_config.OPTIONS)
    variable = envoy_config.START_VARIABLE
    name = copy_name(ENVOY, number)
    return Program(name, argv, {}, configuration, folder=folder, start_variable=variable)


def provision(settings: SupervisorSettings, home: Home, ports: Ports, *, version: str) -> Program:
    argv = (python(settings), "-m", "libs.common.log")
    environment = _common(settings, home, ports, user=PROVISION)
    environment["SPECSTREAM_NATS_MIRROR_SEED_FILE"] = str(home.seed(MIRROR_USER))
    return Program(PROVISION, argv, environment, version)


def services(
    settings: SupervisorSettings, home: Home, ports: Ports, *, api_key: str, version: str
) -> tuple[Program, ...]:
    """One for each copy of each service."""
    return tuple(
        service(name, settings, home, ports, api_key=api_key, version=version, number=number)
        for name in SERVICES
        for number, _ in enumerate(processes_of(name, copies=settings.copies, routers=len(ports.edges)), 1)
    )


def service(
    name: str,
    settings: SupervisorSettings,
    home: Home,
    ports: Ports,
    *,
    api_key: str,
    version: str,
    number: int = 1,
) -> Program:
    """One of `SERVICES`; number: which copy of it. The API key goes by environment, and to the api alone:
    arguments are public.

    version: of the code that it runs and of the files that it reads: after a change of either no process of
    before is adopted.
    """
    environment = {**_common(settings, home, ports, user=name), **_cluster(settings, home)}
    if number > 1:
        environment["SPECSTREAM_COPY_NUMBER"] = str(number)
    match name:
        case "reconciler":
            environment["SPECSTREAM_DRAIN_DEADLINE_SECONDS"] = str(settings.drain_deadline_seconds)
            environment["SPECSTREAM_ROLLOUT_SECONDS"] = str(settings.rollout_seconds)
            environment["SPECSTREAM_MOVE_SECONDS"] = str(settings.move_seconds)
        case "api":
            environment["SPECSTREAM_API_PORT"] = str(ports.api)
            environment["SPECSTREAM_DOMAIN"] = settings.domain
            environment["SPECSTREAM_EDGE_PORT"] = str(ports.edge)
            environment["SPECSTREAM_API_KEY"] = api_key
            environment["SPECSTREAM_COPIES"] = str(settings.copies)
            environment |= _routers(ports)
            environment["SPECSTREAM_DISK_RESERVE_MIB"] = str(settings.disk_reserve_mib)
            environment["SPECSTREAM_METRICS_MAX_BYTES"] = str(settings.metrics_max_bytes)
        case "autoscaler":
            environment["SPECSTREAM_REQUEST_WINDOW_SECONDS"] = str(settings.request_window_seconds)
        case "health":
            environment["SPECSTREAM_INNER_PORTS"] = _inner_ports(ports)
            environment["SPECSTREAM_USAGE_SECONDS"] = str(settings.usage_seconds)
        case _ if name == ROUTER:
            environment["SPECSTREAM_ENVOY_FOLDER"] = str(home.envoy(number))
            environment["SPECSTREAM_DOMAIN"] = settings.domain
            environment["SPECSTREAM_EDGE_PORT"] = str(ports.edges[number - 1])
            environment |= _routers(ports)
            environment["SPECSTREAM_INNER_PORTS"] = _inner_ports(ports)
            environment["SPECSTREAM_DRAIN_DEADLINE_SECONDS"] = str(settings.drain_deadline_seconds)
            environment["SPECSTREAM_UPLOAD_DEADLINE_SECONDS"] = str(settings.upload_deadline_seconds)
    argv = (python(settings), "-m", settings.module(name))
    return Program(copy_name(name, number), argv, environment, version)


def _inner_ports(ports: Ports) -> str:
    """No replica is at one of them, and so none is probed or served there."""
    return json.dumps(sorted(ports.by_name.values()))


def _routers(ports: Ports) -> dict[str, str]:
    """How many there are; nothing where there is the usual one."""
    return {"SPECSTREAM_ROUTERS": str(len(ports.edges))} if ports.more_edges else {}


def _common(settings: SupervisorSettings, home: Home, ports: Ports, *, user: str) -> dict[str, str]:
    return {
        "SPECSTREAM_NATS_URL": f"nats://{HOST}:{ports.nats}",
        "SPECSTREAM_NATS_SEED_FILE": str(home.seed(user)),
        "SPECSTREAM_LOG_LEVEL": settings.log_level,
        "SPECSTREAM_METRICS": settings.metrics,
        "SPECSTREAM_METRICS_DEPLOYMENTS": str(settings.metrics_deployments),
        "SPECSTREAM_GRACE_SECONDS": str(settings.grace_seconds),
        "PYTHONUNBUFFERED": "1",
    }


def _cluster(settings: SupervisorSettings, home: Home) -> dict[str, str]:
    """Which cluster there is and what machine types; nothing where those are the usual ones."""
    told = {
        "SPECSTREAM_MACHINE_TYPES": None if settings.machine_types is None else str(home.machine_types),
        "SPECSTREAM_CLUSTER": None if settings.cluster == "local" else settings.cluster,
        "SPECSTREAM_KUBECONFIG": None if settings.kubeconfig is None else str(settings.kubeconfig),
        "SPECSTREAM_KUBE_NAMESPACE": settings.kube_namespace,
        "SPECSTREAM_KUBE_POD_SECURITY": None if settings.cluster == "local" else settings.kube_pod_security,
        "SPECSTREAM_REGIONS": ",".join(settings.regions) or None,
        "SPECSTREAM_NODE_LOST_SECONDS": (
            None if settings.cluster == "local" else str(settings.node_lost_seconds)
        ),
    }
    return {name: value for name, value in told.items() if value is not None}


def python(settings: SupervisorSettings) -> str:
    return str(settings.root / ".venv" / "bin" / "python")


def missing(programs: Mapping[str, Program]) -> tuple[Path, ...]:
    """The binaries that are not there: the set-up has not been run."""
    binaries = {Path(program.argv[0]) for program in programs.values()}
    return tuple(sorted(path for path in binaries if not path.exists()))
