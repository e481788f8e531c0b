"""The whole platform, as its users meet it: REST, endpoints, and the replicas as processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.common.cluster.local.shim import proc
from tests.support.plain_http import plain_client
from tests.support.platform_process import ROOT, PlatformProcess
from tests.support.polling import PATIENCE_S, eventually
from tests.support.recorded_calls import Caller

HELLO = ROOT / "examples" / "hello" / "app.py"
LOAD = ROOT / "examples" / "load" / "app.py"

RETRIED = {500, 502, 503, 504}

ANSWERS_WITHIN_S = 60.0
"""The api itself may try for half a minute to find out whether something is stored."""

ENDS_WITHIN_S = 2 * PATIENCE_S
"""A command, which may wait for the platform itself."""

Json = dict[str, Any]

PROBED: Json = {"periodSeconds": 1, "timeoutSeconds": 30}
"""A replica that a busy machine lets answer late is not taken for a sick one."""


def checked(*, failure_threshold: int) -> Json:
    """All three checks of examples/hello. The first one keeps the others from a process that does not listen
    yet, however long a busy machine takes to start it."""
    return {
        "startup": {"path": "/live", **PROBED, "failureThreshold": 100},
        "readiness": {"path": "/ready", **PROBED, "failureThreshold": failure_threshold},
        "liveness": {"path": "/live", **PROBED, "failureThreshold": failure_threshold},
    }


def hello(name: str, *, replicas: int = 1, checks: Json | None = None, **env: str) -> Json:
    """A spec whose replica is up at once: examples/hello. env: its environment."""
    return {
        "apiVersion": "v1",
        "name": name,
        "image": "specstream/hello",
        "command": [sys.executable, "-I", str(HELLO)],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {"machineType": "C4", "ports": [8000], "replicas": replicas},
        "healthChecks": checks or {"readiness": {"path": "/ready", **PROBED}},
    }


def load(name: str, autoscaling: Json, *, replicas: int = 1, machine_type: str = "small") -> Json:
    """A spec whose replicas use what each request asks them to use: examples/load."""
    return {
        "apiVersion": "v1",
        "name": name,
        "image": "specstream/load",
        "command": [sys.executable, "-I", str(LOAD)],
        "resources": {
            "machineType": machine_type,
            "ports": [8000],
            "replicas": replicas,
            "autoscaling": autoscaling,
        },
        "healthChecks": {"readiness": {"path": "/ready", **PROBED}},
    }


class LivePlatform(PlatformProcess):
    """A platform in a home of its own. `http` sends the API key and has no retry."""

    _http: httpx.AsyncClient | None = None

    @property
    def is_up(self) -> bool:
        """Whether its newest `up` has not ended."""
        return bool(self._ups) and self._ups[-1].poll() is None

    @property
    def http(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = self._connect()
        return self._http

    def _connect(self) -> httpx.AsyncClient:
        return plain_client(
            base_url=f"http://127.0.0.1:{self.api_port}/v1",
            headers={"authorization": f"Bearer {self.key}"},
            timeout=ANSWERS_WITHIN_S,
        )

    @property
    def key(self) -> str:
        return self.environment.get("SPECSTREAM_API_KEY") or (self.home / "api-key").read_text().strip()

    # What a client asks

    async def ask(
        self, method: str, path: str, *, patience_s: float = PATIENCE_S, **how: Any
    ) -> httpx.Response:
        """An answer; asked for again while nobody answers, or what answers cannot do it now."""
        last: list[object] = []

        async def try_it() -> httpx.Response | None:
            try:
                answer = await self.http.request(method, path, **how)
            except httpx.TransportError as error:
                last[:] = [error]
                return None
            last[:] = [answer.status_code, answer.text]
            return None if answer.status_code in RETRIED else answer

        try:
            return await eventually(try_it, within_s=patience_s, every_s=0.1)
        except AssertionError as error:
            raise AssertionError(f"{method} {path} is not answered: {last}") from error

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.ask("GET", path, params=params)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def submit(self, config: Json, **more: Any) -> str:
        """Safe to be asked twice: the same spec registers nothing."""
        body = {"config": self.fit(config), "projectId": "default", **more}
        answer = await self.ask("POST", "/deployments", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["deploymentId"])

    def fit(self, config: Json) -> Json:
        """The spec as this platform's cluster runs it: here, as it is."""
        return config

    async def deploy(self, config: Json, **more: Any) -> str:
        """Submit it and wait until it is as the spec says."""
        deployment_id = await self.submit(config, **more)
        await self.settled(deployment_id)
        return deployment_id

    async def delete(self, deployment_id: str) -> None:
        answer = await self.ask("DELETE", f"/deployments/{deployment_id}")
        assert answer.status_code in {200, 404}, answer.text

    async def delete_all(self) -> None:
        """Every deployment there is, without waiting until its replicas are gone."""
        listed = await self.get("/deployments", limit=120)
        await asyncio.gather(*(self.delete(item["id"]) for item in listed["items"]))

    async def spec(self, deployment_id: str) -> Json:
        return (await self.get(f"/deployments/{deployment_id}"))["latestSpec"]

    async def runs(self, deployment_id: str) -> list[Json]:
        return await self.get(f"/deployments/{deployment_id}/runs")

    async def instances(self, deployment_id: str) -> list[Json]:
        return [one for run in await self.runs(deployment_id) for one in run["instances"]]

    async def events(self, deployment_id: str | None = None, *, after: int = 0, **params: Any) -> list[Json]:
        """All of them, in order."""
        if deployment_id:
            params["deploymentId"] = deployment_id
        found: list[Json] = []
        while True:
            page = await self.get(
                "/events", **params, after=found[-1]["sequence"] if found else after, limit=1000
            )
            found += page["items"]
            if not page["hasMore"]:
                return found

    async def settled(self, deployment_id: str, *, within_s: float = PATIENCE_S) -> Json:
        """Wait until the newest spec is healthy and nothing but it runs; that spec."""
        seen: list[Any] = []

        async def is_settled() -> Json | None:
            spec = await self.spec(deployment_id)
            runs = await self.runs(deployment_id)
            seen[:] = [spec, runs]
            wanted = spec["data"]["resources"]["replicas"] if spec["data"]["enabled"] else 0
            if not wanted:
                return spec if spec["externalApplied"] and not runs else None
            states = [one["state"] for run in runs for one in run["instances"]]
            is_so = spec["dtHealthy"] and [run["id"] for run in runs] == [spec["runId"]]
            return spec if is_so and states == ["running"] * wanted else None

        try:
            return await eventually(is_settled, within_s=within_s, every_s=0.05)
        except AssertionError as error:
            raise AssertionError(f"{deployment_id} did not settle: {error}\n{seen}") from error

    async def at_rest(self, deployment_id: str) -> list[Json]:
        """Wait until it is settled and nothing more is to be said of it; its events. That its rollout is over
        is said after its last replica of before is gone."""
        seen: list[Json] = []

        async def is_over() -> bool:
            spec = await self.settled(deployment_id)
            seen[:] = await self.events(deployment_id)
            said = [one["data"] for one in seen if one["type"] == "RolloutProgressed"]
            return (said[-1]["spec_id"], said[-1]["phase"] in {"complete", "stopped"}) == (spec["id"], True)

        await eventually(is_over, every_s=0.05, because=f"the rollout of {deployment_id} is not over")
        return seen

    async def gone(self, deployment_id: str, *, within_s: float = PATIENCE_S) -> None:
        """Wait until nothing is left of a deleted deployment."""
        await eventually(
            lambda: not self.replica_processes(deployment_id),
            within_s=within_s,
            every_s=0.1,
            because=f"replicas of {deployment_id} are left",
        )
        await eventually(
            lambda: self._is_removed(deployment_id),
            within_s=within_s,
            every_s=0.1,
            because=f"no WorkloadRemoved of {deployment_id}",
        )

    async def _is_removed(self, deployment_id: str) -> bool:
        return bool((await self.get("/events", deploymentId=deployment_id, type="WorkloadRemoved"))["items"])

    async def healthy(self, *, within_s: float = PATIENCE_S) -> None:
        async def is_healthy() -> bool:
            try:
                return (await self.http.get("/health")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_healthy, within_s=within_s, every_s=0.1, because="the platform is not healthy")

    async def verified(self) -> Json:
        """The log is sound."""
        result = await self.get("/log/verify")
        assert result["ok"], result
        return result

    # The endpoint, and what answers

    def endpoint(self, deployment_id: str) -> str:
        return f"d{deployment_id}.localhost:{self.edge_port}"

    def caller(self, deployment_id: str, path: str = "/", **how: Any) -> Caller:
        return Caller(self.endpoint(deployment_id), path, **how)

    @asynccontextmanager
    async def calling(self, deployment_id: str, path: str = "/", **how: Any) -> AsyncIterator[Caller]:
        """A caller that has been served, and so has to be served from then on."""
        async with self.caller(deployment_id, path, **how) as caller:
            await caller.until_served()
            yield caller

    def replica_processes(self, deployment_id: str) -> dict[str, list[int]]:
        """The processes that lead a replica, by replica: one each, if all is well."""
        found: dict[str, list[int]] = {}
        mark = deployment_id.encode()
        for pid in proc.pids():
            try:
                environment = proc.environment(pid) or b""
                is_leader = os.getsid(pid) == pid
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            carried = proc.variable(environment, "SPECSTREAM_DEPLOYMENT_ID")
            if carried != mark or not is_leader or proc.start_ticks(pid) is None:
                continue
            found.setdefault(str(proc.carried_id(pid)), []).append(pid)
        return found

    async def replica_pids(self, deployment_id: str) -> dict[str, int]:
        """The one process of each replica; fails when one has none or two, or a process is nobody's."""
        seen: list[Any] = []

        async def is_so() -> bool:
            processes = self.replica_processes(deployment_id)
            instances = {one["id"] for one in await self.instances(deployment_id)}
            seen[:] = [processes, instances]
            return processes.keys() == instances and all(len(pids) == 1 for pids in processes.values())

        try:
            # What is just starting or ending is listed a moment earlier or later than it is there.
            await eventually(is_so, every_s=0.1)
        except AssertionError as error:
            raise AssertionError("replicas are orphaned, lost or doubled: {} for {}".format(*seen)) from error
        return {replica_id: pids[0] for replica_id, pids in seen[0].items()}

    async def address(self, _replica_id: str, pid: int) -> str:
        """Where this replica answers, itself."""
        port = proc.variable(proc.environment(pid) or b"", "PORT")
        assert port is not None, f"process {pid} has no PORT"
        return f"127.0.0.1:{port.decode()}"

    # The command line

    async def cli(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """`bin/specstream` to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            [str(ROOT / "bin" / "specstream"), *arguments],
            cwd=self.home,
            env=self._env(),
            capture_output=True,
            text=True,
            input=stdin,
            timeout=ENDS_WITHIN_S,
            check=False,
        )

    async def close(self) -> None:
        """Stop it, and fail if anything is left."""
        if self._http is not None:
            await self._http.aclose()
        await self.stop()


@pytest.fixture
async def own_platform(tmp_path: Path) -> AsyncIterator[LivePlatform]:
    """One that the test may do anything to; not started yet."""
    platform = LivePlatform(tmp_path / "home")
    try:
        yield platform
    finally:
        await platform.close()
