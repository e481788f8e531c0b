"""Which router is waited for before replicas may end, for whoever watches the platform. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable

from libs.common.state.view import DeploymentView


def waited_for(views: Iterable[DeploymentView], routers: Collection[str]) -> list[str]:
    """A sentence for each router that has not withdrawn what another one has."""
    if len(routers) < 2:
        return []
    waiting: Counter[str] = Counter()
    for view in views:
        if not view.rollout.retiring:
            continue
        existing = view.rollout.retiring & view.roster.by_id.keys()
        by_any = frozenset[str]().union(*(view.traffic.withdrawn_by(router) for router in routers))
        for router in routers:
            waiting[router] += len(existing & by_any - view.traffic.withdrawn_by(router))
    return [
        f"{number} {'replica waits' if number == 1 else 'replicas wait'} for {router} to withdraw "
        f"{'it' if number == 1 else 'them'}; others have"
        for router, number in sorted(waiting.items())
        if number
    ]
