"""Reading a spec that may be wrong anywhere: what is not of the expected kind counts as not there.

So a rule over several fields can speak although another field is broken, and all mistakes show at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any

CHECK_KINDS = ("startup", "readiness", "liveness")
CHECKS_SPELLINGS = ("healthChecks", "healthchecks")


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def checks(raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """Every health check that is an object, with its path."""
    for spelling in CHECKS_SPELLINGS:
        for kind in CHECK_KINDS:
            check = mapping(raw.get(spelling)).get(kind)
            if isinstance(check, dict):
                yield (spelling, kind), check


def arguments(command: Any) -> Iterator[tuple[int, str]]:
    for index, argument in enumerate(listing(command)):
        if isinstance(argument, str):
            yield index, argument
