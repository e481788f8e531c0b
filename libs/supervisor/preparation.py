"""Everything that is decided and written before the first process starts: keys, ports, configurations."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from libs.supervisor import envoy_config, keys, machine_types, nats_config, open_files, ports, programs
from libs.supervisor.errors import CannotStart
from libs.supervisor.home import Home, write_private
from libs.supervisor.ports import Ports
from libs.supervisor.programs import Program
from libs.supervisor.settings import SupervisorSettings

CODE = ("services", "libs/common")
"""What a service process has loaded."""


def choose_ports(settings: SupervisorSettings, home: Home, *, living: Collection[str]) -> Ports:
    """The home's ports; raises CannotStart when a given one is taken by somebody else."""
    return ports.choose(
        {
            "api": settings.api_port,
            ports.EDGE: settings.edge_port,
            **dict(zip(ports.MORE_EDGES, settings.more_edge_ports, strict=False)),
        },
        remembered=ports.load(home),
        living=living,
        is_free=ports.is_free,
        pick=ports.pick,
    )


def code_version(root: Path) -> str:
    """A hash of the services' source: a process that runs other code than the checkout's is out of date."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def prepare(settings: SupervisorSettings, home: Home, chosen: Ports) -> Mapping[str, Program]:
    """Write what the programs read at start; the programs by name, in the order of their start.

    The same settings and ports give the same files and the same programs. Raises CannotStart when a
    key is damaged or a binary is not there.
    """
    public_keys = {
        user: keys.public_key(home, user) for user in (*nats_config.USERS, *nats_config.SYSTEM_USERS)
    }
    api_key = keys.api_key(home, settings)
    # Of NATS and Envoy what they read is known to nobody else already.
    own = keys.launch_secret(home)
    infra = settings.root / "infra"
    nats_text = nats_config.render(
        (infra / "nats" / "nats.conf").read_text(), home.path, port=chosen.nats, public_keys=public_keys
    )
    numbers = range(1, len(chosen.edges) + 1)
    for number in numbers:
        home.envoy(number).mkdir(mode=0o700, exist_ok=True)
    envoy_template = (infra / "envoy" / "bootstrap.json").read_text()
    envoy_texts = {
        number: envoy_config.render(
            envoy_template,
            token=keys.envoy_token(home, number),
            heap_mib=settings.envoy_heap_mib,
            open_files=open_files.limit(),
        )
        for number in numbers
    }
    envoys = (
        programs.envoy(settings, home, configuration=text, number=number)
        for number, text in envoy_texts.items()
    )
    types = machine_types.take(
        settings.machine_types, home, python=programs.python(settings), root=settings.root
    )
    version = f"{code_version(settings.root)}{hashlib.sha256(types).hexdigest()} {own}"
    every = {
        programs.NATS: programs.nats_server(settings, home, configuration=nats_text),
        **{program.name: program for program in envoys},
        programs.PROVISION: programs.provision(settings, home, chosen, version=own),
        **{
            program.name: program
            for program in programs.services(settings, home, chosen, api_key=api_key, version=version)
        },
    }
    if absent := programs.missing(every):
        listed = ", ".join(str(path) for path in absent)
        raise CannotStart(f"not there: {listed}; `make setup` puts it there")
    write_private(home.nats_config, nats_text)
    for number, text in envoy_texts.items():
        home.envoy(number).chmod(0o700)  # its sockets are nobody else's
        write_private(home.envoy(number) / envoy_config.BOOTSTRAP, text)
    ports.save(home, chosen)
    return every
