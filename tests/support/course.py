"""What is asked of a platform over real nodes in the course of a fault, and the proof that it came true."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from libs.common.clock import monotonic
from libs.common.cluster.kubernetes import names
from tests.support.fault_proxy import FaultProxy
from tests.support.live_platform import Json, hello
from tests.support.on_kubernetes import pods
from tests.support.pod_platform import PodPlatform
from tests.support.polling import eventually
from tests.support.recorded_calls import Caller

WITHIN_S = 10.0
"""From the end of a fault until everything is as was asked for."""


class Course:
    """proxy: between the platform and its API server. wanted: the newest config of each deployment that
    stands."""

    def __init__(self, platform: PodPlatform, proxy: FaultProxy) -> None:
        self.platform = platform
        self.proxy = proxy
        self.wanted: dict[str, Json] = {}
        self._deleted: list[str] = []
        self._since = 0

    async def begin(self) -> None:
        """All that stands is as was asked for; what comes from now on is judged by `ends_well`."""
        for deployment_id in self.wanted:
            await self.platform.at_rest(deployment_id)
        self._since = (await self.platform.events())[-1]["sequence"]
        self._deleted.clear()
        self.proxy.taken.clear()
        self.proxy.met = 0

    async def submit(self, name: str, *, replicas: int, **env: str) -> str:
        config = hello(name, replicas=replicas, **env)
        deployment_id = await self.platform.submit(config)
        self.wanted[deployment_id] = config
        return deployment_id

    async def scale(self, deployment_id: str, replicas: int) -> None:
        before = self.wanted[deployment_id]
        after = {**before, "resources": {**before["resources"], "replicas": replicas}}
        assert await self.platform.submit(after) == deployment_id
        self.wanted[deployment_id] = after

    async def delete(self, deployment_id: str) -> None:
        await self.platform.delete(deployment_id)
        del self.wanted[deployment_id]
        self._deleted.append(deployment_id)

    async def ends_well(self, callers: Sequence[Caller]) -> float:
        """Mend the proxy, and wait until everything is as was asked for; how long that took, in seconds.

        Fails where a call was lost, a replica doubled, orphaned, started or ended twice, a newer plan
        overwritten by an older one, a spec applied twice, or the newest one does not serve.
        """
        self.proxy.mend()
        began = monotonic()
        await eventually(self._has_converged, every_s=0.1, because=lambda: f"it differs: {self._seen}")
        took = monotonic() - began
        for deployment_id in self._deleted:
            await self.platform.gone(deployment_id)
        await self.platform.healthy()
        for deployment_id in self.wanted:
            await self.platform.at_rest(deployment_id)
            await self.platform.replica_pids(deployment_id)

        async def have_ended() -> bool:
            return not await self._ending()

        await eventually(have_ended, every_s=0.1, because="pods that were told to end are there")
        assert await self._has_converged(), self._seen
        assert self._seen["anchors"] == self.wanted.keys()
        for deployment_id in self.wanted:
            endpoint = self.platform.endpoint(deployment_id)
            await self._newest_serves(deployment_id, [one for one in callers if one.endpoint == endpoint])
        lost = [call for caller in callers for call in caller.failures()]
        assert not lost, f"{len(lost)} of {sum(len(one.calls) for one in callers)} calls are lost: {lost[:3]}"
        await self._was_told_once()
        self._was_written_once()
        await self.platform.verified()
        return took

    async def _has_converged(self) -> bool:
        """Whether the newest specs are healthy, and the pods that do not end are their replicas, as these are
        shown and listed by the anchors. How long one that ends takes is its own affair."""
        present, running, well = set(await pods(self.platform)), set(), True
        for deployment_id, config in self.wanted.items():
            spec = await self.platform.spec(deployment_id)
            of_newest = [run for run in await self.platform.runs(deployment_id) if run["id"] == spec["runId"]]
            its = {one["id"] for run in of_newest for one in run["instances"] if one["state"] == "running"}
            well = well and bool(spec["dtHealthy"]) and len(its) == config["resources"]["replicas"]
            running |= its
        maps = f"/api/v1/namespaces/{self.platform.namespace}/configmaps"
        found = await asyncio.to_thread(
            self.platform.client.get, maps, labelSelector=names.selector(names.ANCHORS)
        )
        plans = [_plan_of(one) for one in found["items"]]
        listed = {one["id"] for plan in plans for one in plan["replicas"] if not one.get("stopping")}
        listed -= await self._ending()
        standing = {plan["deployment_id"] for plan in plans if "removed_at" not in plan}
        self._seen = {"pods": present, "running": running, "listed": listed, "anchors": standing}
        return well and present == running == listed

    async def _ending(self) -> set[str]:
        """The replicas whose pods were told to end, by whomever."""
        path = f"/api/v1/namespaces/{self.platform.namespace}/pods"
        found = (await asyncio.to_thread(self.platform.client.get, path))["items"]
        ending = (one["metadata"] for one in found if "deletionTimestamp" in one["metadata"])
        return {one["labels"][names.REPLICA] for one in ending}

    async def _newest_serves(self, deployment_id: str, callers: Sequence[Caller]) -> None:
        """callers: those of the deployment."""
        newest = (await self.platform.spec(deployment_id))["id"]

        async def is_so() -> bool:
            answer = await self.platform.caller(deployment_id).once()
            is_answered = answer.headers.get("x-specstream-spec") == newest
            return is_answered and all(one.calls[-1].spec_id == newest for one in callers)

        await eventually(is_so, every_s=0.1, because=f"calls are not answered by {newest}")
        answer = await self.platform.caller(deployment_id).once()
        env = {one["name"]: one["value"] for one in self.wanted[deployment_id]["env"]}
        assert answer.json()["version"] == env["VERSION"]

    async def _was_told_once(self) -> None:
        told = await self.platform.events(after=self._since)
        applied = Counter(
            (one["data"]["spec_id"], str(one["data"]["runs"])) for one in told if one["type"] == "SpecApplied"
        )
        assert set(applied.values()) <= {1}, applied
        assert not [one for one in told if one["type"] in {"ReplicaRestarted", "SpecFailed"}]
        started, stopped = set(), set()
        for one in told:
            replica_id = one["data"].get("replica_id")
            assert replica_id not in stopped, f"{one} is told of a replica that is gone"
            started |= {replica_id} if one["type"] == "ReplicaStarted" else set()
            stopped |= {replica_id} if one["type"] == "ReplicaStopped" else set()
        assert not stopped & self._seen["pods"]
        assert started <= stopped | self._seen["pods"]

    def _was_written_once(self) -> None:
        """By what the server took: no pod of a replica was made again, no anchor went back."""
        made = Counter(
            answer["metadata"]["name"]
            for method, kind, answer in self.proxy.taken
            if (method, kind) == ("POST", "pods")
        )
        assert set(made.values()) <= {1}, made
        anchors = [a for m, kind, a in self.proxy.taken if kind == "configmaps" and m in {"POST", "PUT"}]
        fences: dict[str, int] = {}
        for one in sorted(anchors, key=lambda one: int(one["metadata"]["resourceVersion"])):
            fence = _plan_of(one)["fence"]["sequence"]
            name = one["metadata"]["name"]
            assert fence >= fences.get(name, 0), f"{name} goes back to {fence} from {fences[name]}"
            fences[name] = fence


def _plan_of(anchor: Mapping[str, Any]) -> Any:
    return json.loads(anchor["data"]["plan.json"])
