"""Whether the whole platform is ready, judged from heartbeats. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from libs.common.services import ROUTER, SERVICES
from services.api.health.copies import PATIENCE, Heard


@dataclass(frozen=True, slots=True)
class LogView:
    """What the log and the api itself show."""

    answers: bool
    """Whether the log could be asked."""
    problem: str = ""
    """Why appends fail or are refused; empty when they are taken."""
    due_sequence: int = 0
    """The sequence of the newest spec that was registered longer ago than `PATIENCE`."""
    is_projected: bool = True
    """Whether the api has taken in all that is older than that."""


def not_ready(
    heard: Mapping[str, Heard],
    log: LogView,
    *,
    now: datetime,
    unled: Collection[str] = (),
    routers: Collection[str] = (ROUTER,),
) -> list[str]:
    """Who is not ready, in a fixed order; empty when everybody is. routers: those that there are to be.

    | what                                                       | named   |
    |------------------------------------------------------------|---------|
    | the log cannot be asked                                    | log     |
    | appends fail, or are refused for lack of room              | log     |
    | no heartbeat, or none for 15 s                             | service |
    | the heartbeat says that it is not ready                    | service |
    | it has copies of which one has to lead, and none does      | service |
    | it has not taken in a spec registered more than 15 s ago   | service |
    | a router does not know of an Envoy that has acknowledged   | envoy, or `envoy-2` of `router-2` |
    """
    names = ["log"] if log.problem or not log.answers else []
    for service in dict.fromkeys((*SERVICES, *routers)):
        last = heard.get(service)
        is_ready = (
            last is not None
            and now - last.received_at < PATIENCE
            and last.beat.is_ready
            and service not in unled
            and last.beat.applied_sequence >= log.due_sequence
            and (log.is_projected or service != "api")
        )
        if not is_ready:
            names.append(service)
    for router in routers:
        said = heard.get(router)
        if said is None or not envoy_acknowledged(said.beat.detail):
            names.append(_envoy_of(router))
    return names


def _envoy_of(router: str) -> str:
    return f"envoy{router.removeprefix(ROUTER)}"


def _names(heard: Mapping[str, Heard]) -> list[str]:
    """Of who was heard, in a fixed order: the services, then the further routers."""
    return [*(name for name in SERVICES if name in heard), *sorted(heard.keys() - set(SERVICES))]


def problems(heard: Mapping[str, Heard], log: LogView, *, unled: Collection[str] = ()) -> dict[str, str]:
    """Why the log does not take appends, and what the services and Envoy say about why they are not ready."""
    said = {
        "log": log.problem,
        **dict.fromkeys(unled, "none of its copies leads"),
        **{name: said for name in _names(heard) if (said := heard[name].beat.problem)},
        **{
            _envoy_of(name): str(one.beat.detail.get("envoy_problem") or "")
            for name, one in heard.items()
            if name.startswith(ROUTER)
        },
    }
    return {name: problem for name, problem in said.items() if problem}


def notices(heard: Mapping[str, Heard]) -> list[str]:
    """What the services want their operator to know while they do their work."""
    return [notice for name in _names(heard) for notice in heard[name].beat.detail.get("notices", ())]


def scaling(heard: Mapping[str, Heard], *, now: datetime) -> dict[str, int] | None:
    """How many deployments scale by load, and of how many of them something is unknown, so that their number
    is held; None where the autoscaler does not say. That makes nobody unready."""
    last = heard.get("autoscaler")
    if last is None or now - last.received_at >= PATIENCE:
        return None
    told = {name: last.beat.detail.get(name) for name in ("autoscaled", "unknown")}
    found = {name: count for name, count in told.items() if isinstance(count, int)}
    return found if len(found) == len(told) else None


def set_aside(heard: Mapping[str, Heard]) -> dict[str, list[dict[str, Any]]]:
    """What each service works without, with the reason; services without any are left out."""
    return {
        name: [one.model_dump(mode="json") for one in heard[name].beat.set_aside]
        for name in _names(heard)
        if heard[name].beat.set_aside
    }


MOST_IN_HEADER = 10


def set_aside_header(heard: Mapping[str, Heard]) -> str | None:
    """`health=<id>,<id>; router=<id>`: each service with the ids it works without, at most ten of each, and
    how many more there are; None where nothing is set aside. An id may be a name that somebody gave, so what
    no header may hold is percent-encoded."""
    parts = []
    for service, found in set_aside(heard).items():
        subjects = list(dict.fromkeys(quote(one["subject"], safe="/: ") for one in found))
        more = len(subjects) - MOST_IN_HEADER
        named = [*subjects[:MOST_IN_HEADER], *([f"+{more}"] if more > 0 else [])]
        parts.append(f"{service}={','.join(named)}")
    return "; ".join(parts) or None


def envoy_acknowledged(detail: Mapping[str, Any]) -> bool:
    """Whether the router's heartbeat says that an Envoy is connected and has taken its configuration."""
    return detail.get("envoy_acknowledged") is True
