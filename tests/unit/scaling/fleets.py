"""Replicas and samples, written as short as tables need them."""

from libs.common.scaling.replicas import Phase, Replica, Resource, Sample

NOW = 1_000_000.0
LONG_AGO = NOW - 86_400

CPU_INITIALIZATION_S = 120.0
INITIAL_READINESS_DELAY_S = 10.0
"""As the published tables have them; the defaults are longer."""

CORE = 1000


def replica(name: str, kind: str, request: int = CORE) -> Replica:
    """kind: ready for long, unready from its start, hot from starting, pending, failed, leaving."""
    requests = {Resource.CPU: request, Resource.MEMORY: request}
    match kind:
        case "r":
            return Replica(name, Phase.RUNNING, LONG_AGO, True, LONG_AGO, requests=requests)
        case "u":
            return Replica(name, Phase.RUNNING, LONG_AGO, False, LONG_AGO, requests=requests)
        case "h":
            return Replica(name, Phase.RUNNING, NOW, True, NOW, requests=requests)
        case "p":
            return Replica(name, Phase.PENDING, None, False, None, requests=requests)
        case "f":
            return Replica(name, Phase.FAILED, LONG_AGO, False, LONG_AGO, requests=requests)
        case "l":
            return Replica(name, Phase.RUNNING, LONG_AGO, False, LONG_AGO, is_leaving=True, requests=requests)
    raise ValueError(kind)


def fleet(kinds: str, *, requests: list[int] | None = None) -> list[Replica]:
    """One for each letter, named `0`, `1`, ..."""
    asked = requests or [CORE] * len(kinds)
    return [replica(str(index), kind, asked[index]) for index, kind in enumerate(kinds)]


def samples(*levels: int) -> dict[str, Sample]:
    """Of the first replicas, in thousandths, just measured over a minute."""
    return {str(index): Sample(level) for index, level in enumerate(levels)}
