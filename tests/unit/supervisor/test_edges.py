"""Each edge is a router and an Envoy of its own; with one edge everything is told as it always was."""

import json
from pathlib import Path

from libs.supervisor import programs
from libs.supervisor.home import Home
from libs.supervisor.ports import Ports
from libs.supervisor.programs import ENVOYS, EVERY_COPY
from libs.supervisor.settings import SupervisorSettings

HOME = Home(Path("/home"))
SETTINGS = SupervisorSettings(home=HOME.path)
ONE = Ports(8080, 8081, 4222)
TWO = Ports(8080, 8081, 4222, (8082,))


def of(ports: Ports) -> dict[str, programs.Program]:
    made = programs.services(SETTINGS, HOME, ports, api_key="k", version="v")
    return {program.name: program for program in made}


def test_with_one_edge_nobody_is_told_of_routers() -> None:
    made = of(ONE)
    assert set(made) == {"api", "reconciler", "health", "autoscaler", "router"}
    assert not [name for name, program in made.items() if "SPECSTREAM_ROUTERS" in program.environment]
    assert made["router"].environment["SPECSTREAM_ENVOY_FOLDER"] == "/home/envoy"
    assert "SPECSTREAM_COPY_NUMBER" not in made["router"].environment


def test_a_further_edge_has_a_router_that_meets_its_own_envoy() -> None:
    made = of(TWO)
    assert set(made) - set(of(ONE)) == {"router-2"}
    told = made["router-2"].environment
    assert told["SPECSTREAM_COPY_NUMBER"] == "2"
    assert told["SPECSTREAM_EDGE_PORT"] == "8082"
    envoy = programs.envoy(SETTINGS, HOME, configuration="", number=2)
    assert envoy.name == "envoy-2"
    assert str(envoy.folder) == told["SPECSTREAM_ENVOY_FOLDER"] == "/home/envoy-2"
    assert made["router"].environment["SPECSTREAM_EDGE_PORT"] == "8081"


def test_who_has_to_know_how_many_there_are_is_told() -> None:
    told = {name for name, program in of(TWO).items() if "SPECSTREAM_ROUTERS" in program.environment}
    assert told == {"api", "router", "router-2"}


def test_no_replica_is_at_the_port_of_any_edge() -> None:
    for name in ("health", "router", "router-2"):
        ports = json.loads(of(TWO)[name].environment["SPECSTREAM_INNER_PORTS"])
        assert ports == [4222, 8080, 8081, 8082]


def test_what_may_run_is_stopped() -> None:
    services, envoys, _ = programs.STOP_ORDER
    assert {"router", "router-2", "router-3"} <= set(EVERY_COPY) <= set(services)
    assert envoys == ENVOYS == ("envoy", "envoy-2", "envoy-3")
