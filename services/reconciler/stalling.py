"""When a rollout is called stalled, and why. Pure. Nothing is undone for it: it goes on."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from services.reconciler.retiring import Staying, Wanted

ROLLOUT_S: Final = 1800.0
"""How long a rollout may take until its spec is healthy."""


def is_overdue(since: datetime, now: datetime, rollout_s: float) -> bool:
    """since: when the rollout began."""
    return now - since >= timedelta(seconds=rollout_s)


def why_stalled(wanted: Wanted, staying: Iterable[Staying], rollout_s: float) -> str:
    """What keeps the wanted run from being ready, as most of its replicas say it."""
    ours = [one for one in staying if one.observed.run_id == wanted.run_id]
    lacking = [one for one in ours if not one.is_ready]
    ready = len(ours) - len(lacking)
    said = Counter(words for one in lacking if (words := _words_of(one)))
    why = f": {said.most_common(1)[0][0]}" if said else ""
    return f"{ready} of {wanted.replicas} replicas are ready after {rollout_s:g} s{why}"


def _words_of(one: Staying) -> str:
    """What the cluster says of it, else what its line in the roster does."""
    for source in (one.observed, one.listed):
        if source is not None and (source.reason is not None or source.message):
            return ": ".join(filter(None, (source.reason, source.message)))
    return ""
