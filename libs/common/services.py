"""The names of the services that a platform has; each copy of one is one process. Pure data."""

from typing import Final

SERVICES: Final = ("api", "reconciler", "health", "autoscaler", "router")

COPIED: Final = ("reconciler", "health", "autoscaler")
"""Those of which several copies may run. Of what they do by the clock one copy leads, by a lease."""

MOST_COPIES: Final = 3

ROUTER: Final = "router"
"""Of it there may be several too, and they are no copies: each has an Envoy of its own, and speaks for that
alone. The first one belongs to every platform."""

MOST_ROUTERS: Final = 3


def copy_name(service: str, number: int) -> str:
    """Of the process: the first copy is called as its service, and the second one `reconciler-2`."""
    return service if number == 1 else f"{service}-{number}"


def number_of(name: str) -> int:
    """Which copy a process is, by its name as `copy_name` gives it."""
    return int(name.partition("-")[2] or 1)


def routers_of(number: int) -> tuple[str, ...]:
    """The names of so many routers."""
    return tuple(copy_name(ROUTER, one) for one in range(1, number + 1))


def edge_of(router: str) -> str:
    """The name under which a router publishes what its Envoy counts and carries: `edge`, `edge-2`."""
    return f"edge{router.removeprefix(ROUTER)}"


def processes_of(service: str, *, copies: int, routers: int) -> tuple[str, ...]:
    """The names of the processes of a service, where each that may has so many copies."""
    if service == ROUTER:
        return routers_of(routers)
    return tuple(copy_name(service, number) for number in range(1, 1 + (copies if service in COPIED else 1)))
