"""Writes to Kubernetes that are stopped on their way, each at a place of its own; and what was written."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.anchor_object import parse_anchor
from tests.support.fault_proxy import Forward

When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Place:
    """The write of that method and kind that is the `number`th of a deployment since the place was set."""

    method: str
    kind: str
    number: int = 1

    def __str__(self) -> str:
        return f"{self.method} {self.kind} {self.number}"


@dataclass
class Written:
    """What the API server has taken from everybody who came through a proxy.

    made: how often a pod was made, by name. fences: of each deployment the fences that were written into its
    anchor, with the resource version that they got. listed: of each such anchor, how many replicas it lists
    to go on, by run.
    """

    made: Counter[str] = field(default_factory=Counter)
    fences: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    listed: dict[str, list[Counter[str]]] = field(default_factory=dict)
    deployment_of: dict[str, str] = field(default_factory=dict)
    """By the name of a pod."""

    def take(self, kind: str, answer: dict[str, Any]) -> None:
        metadata = answer["metadata"]
        if kind == "pods":
            self.made[metadata["name"]] += 1
            return
        held = parse_anchor(answer)
        assert held.anchor is not None, held.problem
        self.fences.setdefault(held.deployment_id, []).append((held.version, held.anchor.fence.sequence))
        goes_on = (one.run_id for one in held.anchor.replicas if not one.is_stopping)
        self.listed.setdefault(held.deployment_id, []).append(Counter(goes_on))

    def stepped_back(self) -> dict[str, list[int]]:
        """The fences of the deployments whose anchor was given a lower one, in the order of their writing."""
        found = {one: [fence for _, fence in sorted(each)] for one, each in self.fences.items()}
        return {one: fences for one, fences in found.items() if fences != sorted(fences)}


class HeldWrites:
    """Set on a proxy as `on("*", "*", held.fault, times=...)`.

    when: whether the server hears of a write that is stopped only when it goes on, or has done it by then and
    the answer is stopped.
    """

    def __init__(self, written: Written, *, when: When = "before") -> None:
        self.written = written
        self.when = when
        self.places: dict[str, Place] = {}
        """By deployment."""
        self.reached: set[str] = set()
        self.answers: dict[str, int] = {}
        """By deployment: what the server has said to the write that was held there."""
        self._passed: Counter[tuple[str, str, str]] = Counter()
        self._go_on = asyncio.Event()

    def let_go(self) -> None:
        """All that are held, and from now on nothing is."""
        self._go_on.set()

    async def fault(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        kind = next((one for one in ("pods", "configmaps") if f"/{one}" in request.path), "")
        if request.method not in ("POST", "PUT", "DELETE") or not kind:
            return await forward()
        deployment_id = self._deployment_of(kind, request, await request.read())
        self._passed[deployment_id, request.method, kind] += 1
        place = Place(request.method, kind, self._passed[deployment_id, request.method, kind])
        is_held = self.places.get(deployment_id) == place
        if is_held and self.when == "before":
            await self._hold(deployment_id)
        answer = await forward()
        if is_held:
            self.answers[deployment_id] = answer.status
        if answer.status in (200, 201) and request.method != "DELETE":
            assert isinstance(answer, web.Response)
            assert isinstance(answer.body, bytes)
            self.written.take(kind, json.loads(answer.body))
        if is_held and self.when == "after":
            await self._hold(deployment_id)
        return answer

    async def _hold(self, deployment_id: str) -> None:
        self.reached.add(deployment_id)
        await self._go_on.wait()

    def _deployment_of(self, kind: str, request: web.Request, body: bytes) -> str:
        name = request.path.rpartition("/")[2]
        if request.method == "POST":
            metadata = json.loads(body)["metadata"]
            name = metadata["name"]
            if kind == "pods":
                self.written.deployment_of[name] = metadata["labels"][names.DEPLOYMENT]
        return names.deployment_of(name) if kind == "configmaps" else self.written.deployment_of[name]
