"""A service that dies by SIGKILL right before or right after an effect, once, when it is told to.

Takes a service's place by `SPECSTREAM_MODULE_<SERVICE>`. The file `run/die-<service>` in the home tells the
point, `before` or `after` and the name of an effect: a type of fact that is appended, or `apply`, `restart`
or `remove` of the cluster, or `begun`, `done` or `refused` as the api notes it of a command. The service
removes it before it dies, so the one that is started next goes on. With `fails` instead of `before` each such
effect fails in its place, for as long as the file is there.
"""

import importlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from libs.common.bus.entries import Entries
from libs.common.cluster.port import Cluster, Workload
from libs.common.events.envelope import Cause, Draft
from libs.common.log.port import Appended, EventLog, Guard, Heads

SERVICES_WITH_A_CLUSTER = {"reconciler", "health"}

ORDERS = {
    f"SPECSTREAM_MODULE_{name.upper()}": "tests.support.dying_service"
    for name in ("api", "reconciler", "health", "router", "autoscaler")
}
"""Settings under which the platform's services obey."""


def order_of(home: Path, service: str) -> Path:
    """The file that tells a service where to die."""
    return home / "run" / f"die-{service}"


class Fate:
    """Knows the order, if there is one."""

    def __init__(self, order: Path) -> None:
        self._order = order

    def at(self, point: str, effects: Sequence[str]) -> None:
        if not self._order.exists():
            return
        when, _, effect = self._order.read_text().partition(" ")
        if when == "fails" and point == "before" and effect in effects:
            raise RuntimeError(f"{effect} fails as ordered")
        if when == point and effect in effects:
            self._order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class DyingLog:
    """Everything else is the log's own."""

    def __init__(self, log: EventLog, fate: Fate) -> None:
        self._log = log
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(
        self, drafts: Sequence[Draft], *, heads: Heads, cause: Cause, guards: Sequence[Guard] = ()
    ) -> Appended:
        effects = [draft.fact.event_type() for draft in drafts]
        self._fate.at("before", effects)
        appended = await self._log.append(drafts, heads=heads, cause=cause, guards=guards)
        self._fate.at("after", effects)
        return appended


class DyingEntries:
    """Everything else is the entries' own."""

    def __init__(self, entries: Entries, fate: Fate) -> None:
        self._entries = entries
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entries, name)

    async def put(self, key: str, data: bytes, *, after: int) -> int:
        effects = [json.loads(data)["state"]]
        self._fate.at("before", effects)
        sequence = await self._entries.put(key, data, after=after)
        self._fate.at("after", effects)
        return sequence


class DyingCluster:
    """Everything else is the cluster's own."""

    def __init__(self, cluster: Cluster, fate: Fate) -> None:
        self._cluster = cluster
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def apply(self, workload: Workload, *, fence: int) -> None:
        self._fate.at("before", ["apply"])
        await self._cluster.apply(workload, fence=fence)
        self._fate.at("after", ["apply"])

    async def restart(self, deployment_id: str, replica_id: str, *, attempt: int) -> None:
        self._fate.at("before", ["restart"])
        await self._cluster.restart(deployment_id, replica_id, attempt=attempt)
        self._fate.at("after", ["restart"])

    async def remove(self, deployment_id: str, *, fence: int) -> None:
        self._fate.at("before", ["remove"])
        await self._cluster.remove(deployment_id, fence=fence)
        self._fate.at("after", ["remove"])


def main(environment: Mapping[str, str]) -> None:
    service = environment["SPECSTREAM_PROGRAM"]
    fate = Fate(order_of(Path(environment["SPECSTREAM_HOME"]), service))
    adapters: dict[str, Any] = {"adapt_log": lambda log: DyingLog(log, fate)}
    if service in SERVICES_WITH_A_CLUSTER:
        adapters["adapt_cluster"] = lambda cluster: DyingCluster(cluster, fate)
    if service == "api":
        adapters["adapt_outcomes"] = lambda entries: DyingEntries(entries, fate)
    importlib.import_module("libs.common.lean")  # as the service itself has it
    app = importlib.import_module(f"services.{service}.app")
    settings = importlib.import_module(f"services.{service}.settings").Settings()
    uvloop.run(app.run(settings, **adapters))


if __name__ == "__main__":
    main(os.environ)
