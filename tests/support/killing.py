"""One part of a running platform is killed during one operation, with a client calling throughout."""

import asyncio
import os
import random
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx

from libs.common.services import SERVICES
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually, let_time_pass
from tests.support.recorded_calls import Call, Caller
from tests.support.slow_calls import SlowCall, slow_calls

PARTS = (*SERVICES, "supervisor", "nats", "envoy")
OPERATIONS = ("create", "update", "rollback", "delete")
MATRIX = tuple(product(PARTS, OPERATIONS))

WINDOW_S = 1.5
"""Some more than an operation takes on an idle machine: a kill may come before it, in it or after it."""

SLOW_S = 2.5
"""How long the requests take that are at work when an operation begins: longer than the kill may wait."""

SEED_VARIABLE = "SPECSTREAM_SEED"


def choose_seed() -> int:
    """From the environment, to do a failed run again; else a new one, which whoever uses it prints."""
    given = os.environ.get(SEED_VARIABLE)
    return int(given) if given else random.SystemRandom().randrange(1_000_000)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is killed, during what, and how long after it began."""

    part: str
    operation: str
    delay_s: float

    def __str__(self) -> str:
        return f"{self.part} killed {self.delay_s:.3f} s into {self.operation}"


@dataclass
class Killing:
    """One cell, from an untouched deployment to the proof that nothing was lost. name: of the deployment."""

    platform: LivePlatform
    cell: Cell
    name: str
    deployment_id: str = ""
    killed_at: float = 0.0
    killed_pid: int | None = None
    asked_at: float = 0.0

    async def run(self) -> None:
        """Raises AssertionError telling the cell."""
        try:
            await self._run()
        except Exception as error:
            raise AssertionError(f"{self.cell}, deployment {self.deployment_id}: {error}") from error

    async def _run(self) -> None:
        await self.platform.healthy()
        operation = getattr(self, f"_{self.cell.operation}")
        await operation()
        await self._alive_again()
        if self.cell.operation == "delete":
            await self.platform.gone(self.deployment_id)
        else:
            await self.platform.delete(self.deployment_id)

    async def _create(self) -> None:
        self.asked_at = self._now()
        killing = asyncio.create_task(self._kill())
        self.deployment_id = await self.platform.submit(self._config(1))
        async with self.platform.calling(self.deployment_id) as caller:
            await killing
            await self._is_true(version=1, specs=1, caller=caller)
        self._judge(caller)

    async def _update(self) -> None:
        self.deployment_id = await self.platform.deploy(self._config(1))
        async with self.platform.calling(self.deployment_id) as caller:
            slow = await self._slow_calls()
            killing = asyncio.create_task(self._kill())
            self.asked_at = self._now()
            await self.platform.submit(self._config(2))
            await killing
            await self._is_true(version=2, specs=2, caller=caller)
            await self._all_answered(slow)
        self._judge(caller)

    async def _rollback(self) -> None:
        self.deployment_id = await self.platform.deploy(self._config(1))
        first = await self.platform.spec(self.deployment_id)
        await self.platform.deploy(self._config(2))
        async with self.platform.calling(self.deployment_id) as caller:
            slow = await self._slow_calls()
            killing = asyncio.create_task(self._kill())
            self.asked_at = self._now()
            # Safe to be asked twice, as a submission is: what is in force already registers nothing.
            answer = await self.platform.ask(
                "POST", f"/deployments/{self.deployment_id}/rollback", json={"specId": first["id"]}
            )
            assert answer.status_code == 200, answer.text
            await killing
            spec = await self._is_true(version=1, specs=3, caller=caller)
            assert spec["id"] == answer.json()["specId"]
            await self._all_answered(slow)
        self._judge(caller)

    async def _delete(self) -> None:
        self.deployment_id = await self.platform.deploy(self._config(1))
        async with self.platform.calling(self.deployment_id) as caller:
            slow = await self._slow_calls()
            killing = asyncio.create_task(self._kill())
            self.asked_at = self._now()
            await self.platform.delete(self.deployment_id)
            await killing
            await self.platform.gone(self.deployment_id)

            async def is_refused() -> bool:
                last = caller.calls[-1]
                return last.error_code == "deployment_not_found"

            await eventually(is_refused, because="calls are not refused")
            await self._all_answered(slow)
        types = [event["type"] for event in await self.platform.events(self.deployment_id)]
        assert types.count("DeploymentDeleted") == 1
        self._judge(caller)

    async def _slow_calls(self) -> list[SlowCall]:
        """Two requests that are at work from now on, on replicas that the operation ends."""
        calls = await slow_calls(self.platform, [self.deployment_id], each=2, seconds=SLOW_S)
        return calls[self.deployment_id]

    async def _all_answered(self, slow: list[SlowCall]) -> None:
        for answer in await asyncio.gather(*slow, return_exceptions=True):
            if isinstance(answer, httpx.TransportError):
                assert self.cell.part == "envoy", f"a slow request is lost: {answer!r}"
            elif isinstance(answer, BaseException):
                raise answer
            else:
                assert answer.status_code == 200, f"a slow request is answered {answer.status_code}"

    async def _kill(self) -> None:
        await let_time_pass(self.cell.delay_s)
        self.killed_at, self.killed_pid = self._now(), self.platform.pid(self.cell.part)
        self.platform.send(self.cell.part)
        if self.cell.part == "supervisor":
            await self.platform.start_and_wait()

    async def _is_true(self, *, version: int, specs: int, caller: Caller) -> dict[str, Any]:
        """What was acknowledged is in the log, once, and in the cluster; the newest spec."""
        spec = await self.platform.settled(self.deployment_id)
        registered = await self.platform.events(self.deployment_id, type="SpecRegistered")
        assert len(registered) == specs, f"{len(registered)} specs are registered"
        await self.platform.replica_pids(self.deployment_id)

        def is_answered_by_it() -> bool:
            last = caller.calls[-1]
            return last.sent > self.killed_at and last.spec_id == spec["id"]

        await eventually(is_answered_by_it, because=f"calls are not answered by {spec['id']}")
        assert (await caller.once()).json()["version"] == str(version)
        return spec

    async def _alive_again(self) -> None:
        await eventually(
            lambda: self.platform.pid(self.cell.part) not in {None, self.killed_pid},
            because=f"{self.cell.part} was not started again",
        )
        await self.platform.healthy()

    def _judge(self, caller: Caller) -> None:
        outage_ends = next(
            (call.ended for call in caller.calls if call.sent > self.killed_at and call.is_served),
            self._now(),
        )
        lost = [call for call in caller.failures() if not self._is_excused(call, outage_ends=outage_ends)]
        assert not lost, (
            f"{len(lost)} of {len(caller.calls)} calls are lost; killed at {self.killed_at:.3f}, asked at"
            f" {self.asked_at:.3f}: {lost[:3]}"
        )

    def _is_excused(self, call: Call, *, outage_ends: float) -> bool:
        if call.error is not None:
            overlaps = call.ended >= self.killed_at and call.sent <= outage_ends
            return self.cell.part == "envoy" and overlaps
        is_refused = call.status == 404 and call.error_code == "deployment_not_found"
        return self.cell.operation == "delete" and call.sent >= self.asked_at and is_refused

    def _config(self, version: int) -> dict[str, Any]:
        return hello(self.name, replicas=2, VERSION=str(version))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def deal(seed: int) -> list[Cell]:
    """One cell for each part, with the operations dealt round: every run has each operation twice."""
    rng = random.Random(seed)
    operations = [operation for operation in OPERATIONS for _ in range(len(PARTS) // len(OPERATIONS))]
    rng.shuffle(operations)
    return [
        Cell(part, operation, rng.uniform(0, WINDOW_S))
        for part, operation in zip(PARTS, operations, strict=True)
    ]


def whole_matrix(rng: random.Random) -> list[Cell]:
    """Every cell once, in an order of its own."""
    cells = [Cell(part, operation, rng.uniform(0, WINDOW_S)) for part, operation in MATRIX]
    rng.shuffle(cells)
    return cells
