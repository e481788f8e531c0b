"""What may go wrong between a platform and its API server, each for as long as nobody mends the proxy."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from libs.common.cluster.kubernetes.knowledge import ANCHORS, PODS
from tests.support.fault_proxy import Fault, FaultProxy, answer, lose_answer, lose_request
from tests.support.old_lists import OldLists
from tests.support.on_kubernetes import WATCHERS, problems
from tests.support.pod_platform import PodPlatform
from tests.support.polling import eventually, let_time_pass

ALL = 1_000_000
"""Requests."""
LASTS_S = 4.0
"""Longer than any pause between two tries."""
LATE_S = 3.0
WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Trouble:
    """platform: whose way to the API server leads through the proxy."""

    platform: PodPlatform
    proxy: FaultProxy

    async def lasts(self) -> None:
        """From when it was first met, which a busy machine may make late."""
        await eventually(lambda: self.proxy.met, because="nobody has met the fault")
        await let_time_pass(LASTS_S)

    async def is_told(self) -> None:
        """Until whoever watches says that nothing can be done."""

        async def is_named() -> bool:
            found = await problems(self.platform)
            return all("API server" in found.get(name, "") for name in WATCHERS)

        await eventually(is_named, every_s=0.2, because="nobody says that the API server is away")


GoOn = Callable[[], Awaitable[None]]
"""Done when the changes were asked for; returns when the fault has been met for long enough."""
Begin = Callable[[Trouble], Awaitable[GoOn]]
"""Before anything is asked of the platform."""


async def cut(trouble: Trouble) -> GoOn:
    trouble.proxy.cut_watches()
    return trouble.lasts


async def silent(trouble: Trouble) -> GoOn:
    trouble.proxy.silence_watches()
    return trouble.lasts


async def delayed(trouble: Trouble) -> GoOn:
    trouble.proxy.watches_are_late_by_s = LATE_S
    return trouble.lasts


async def gone(trouble: Trouble) -> GoOn:
    trouble.proxy.on("WATCH", "*", answer(410, "too old resource version"), times=ALL)
    trouble.proxy.cut_watches()
    return trouble.lasts


async def lists_are_old(trouble: Trouble) -> GoOn:
    """Whoever watches is killed amid the changes, and what was there before is all that they learn then."""
    platform, proxy = trouble.platform, trouble.proxy
    lists = OldLists(platform.client, platform.namespace)
    await asyncio.to_thread(lists.remember)
    proxy.taken.clear()

    def leads() -> dict[str, int]:
        logs = {name: platform.home / "logs" / f"{name}.log" for name in WATCHERS}
        return {name: log.read_text().count("lease taken") for name, log in logs.items()}

    async def restart() -> None:
        await eventually(lambda: any(kind == PODS.resource for _, kind, _ in proxy.taken))
        before = leads()
        for kind in (PODS, ANCHORS):
            lists.left[kind.resource] = ALL
            proxy.on("GET", kind.resource, lists.fault, times=ALL)
        proxy.silence_watches()
        for name in WATCHERS:
            platform.send(name)
        await eventually(
            lambda: all(lead > before[name] for name, lead in leads().items()),
            because="not everybody leads again",
        )
        await trouble.lasts()
        assert all(left <= ALL - len(WATCHERS) for left in lists.left.values()), lists.left

    return restart


def every_write(fault: Fault) -> Begin:
    async def begin(trouble: Trouble) -> GoOn:
        for method in WRITES:
            trouble.proxy.on(method, "*", fault, times=ALL)
        return trouble.lasts

    return begin


def everything(fault: Fault, *, is_told: bool = True) -> Begin:
    async def begin(trouble: Trouble) -> GoOn:
        trouble.proxy.on("*", "*", fault, times=ALL)
        trouble.proxy.cut_watches()
        return trouble.is_told if is_told else trouble.lasts

    return begin


CONFLICT = answer(409, "somebody else has changed it")
UNAUTHORIZED = answer(401, "Unauthorized")
LATER = answer(429, "too many requests", Retry_After="1")
INTERNAL = answer(500, "etcd is away")

FAULTS: Mapping[str, Begin] = {
    "watches cut": cut,
    "watches silent": silent,
    "watches delayed": delayed,
    "410": gone,
    "401": everything(UNAUTHORIZED),
    "lists old after a restart": lists_are_old,
    "409": every_write(CONFLICT),
    "429": everything(LATER, is_told=False),
    "500": everything(INTERNAL),
    "answers lost": every_write(lose_answer),
    "API lost": everything(lose_request),
}
