"""`make demo-scaling`: a deployment follows its load, up and down, and says why. Every claim is checked."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.cli import specfile, waiting
from libs.cli.cost import show_cost
from libs.cli.decisions import show_explained
from libs.cli.demo.calls import PAUSE_S, Caller, Tally
from libs.cli.demo.platform import DemoFailed, Platform
from libs.cli.demo.screen import Screen
from libs.cli.demo.telling import told
from libs.cli.whatif import show_trial
from libs.client import Json
from libs.common.clock import monotonic, to_rfc3339, utc_now
from libs.supervisor.settings import ROOT

SPEC = ROOT / "examples" / "load" / "specstream.yaml"
MACHINE_TYPES = "- {name: quarter, cpus: 0.25, memoryGib: 0.5, pricePerHour: 0.36}\n"
FLOOR, CEILING = 1, 4
UP_S, DOWN_S, READY_S, RECORDED_S = 120.0, 120.0, 120.0, 240.0
"""Some of it takes half a minute, on a machine with nothing else to do."""
TRIED = timedelta(seconds=30)
"""So much of its load there is when a policy is tried on it."""
LOOK_S = 0.5

QUICK = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 3}]},
    "scaleDown": {
        "stabilizationWindowSeconds": 5,
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 3}],
    },
}
"""As a spec has it; the usual windows take minutes."""


@dataclass(slots=True)
class ScalingStory:
    platform: Platform
    screen: Screen
    deployment_id: str = ""
    calls: int = 0
    failures: list[str] = field(default_factory=list)
    _shown: tuple[int, int] = (0, 0)
    _began: str = field(default_factory=lambda: to_rfc3339(utc_now()))

    def tell(self) -> None:
        endpoint = self.deploy()
        light = Caller(endpoint, path="/")
        # The deployment is ready a moment before the router has told Envoy so; from the first answer on each
        # call has to be served.
        first = self.answer_of(light)
        with light:
            self.raise_load(endpoint)
            self.explain("why it has so many")
            self.end_load()
            self.explain("why it has so few again")
            last = self.answer_of(light)
            self.try_policy()
            self.take(light.take())
        self.screen.step("cost: replica-hours by the price of their machine type")
        show_cost(self.platform.client.usage(begin=self._began))
        self._check(
            (last["replica"], last["pid"]) == (first["replica"], first["pid"]),
            "the replica that stayed is not the same process any more",
        )
        self.screen.step("what it cost the callers")
        self.screen.fact(f"replica {str(first['replica'])[:12]} is still pid {first['pid']}")
        self.screen.fact(f"calls: {self.calls}, failed: {len(self.failures)}")
        self._check(not self.failures, f"calls failed: {self.failures[:5]}")

    def deploy(self) -> str:
        self.screen.step(
            f"deploy examples/load: {FLOOR} to {CEILING} replicas of a quarter of a core, at 50 %"
        )
        spec = specfile.load(SPEC)
        spec["resources"] |= {"machineType": "quarter", "replicas": FLOOR}
        spec["resources"]["autoscaling"] |= {"maxReplicas": CEILING, "behavior": QUICK}
        self.deployment_id = self.platform.client.submit(spec)
        seen = waiting.until_done(
            self.platform.client, self.deployment_id, deadline_s=READY_S, on_change=self.screen.replicas
        )
        endpoint = str(seen.deployment["endpoint"])
        self.screen.fact(f"GET http://{endpoint}/burn?seconds=0.02")
        return endpoint

    def raise_load(self, endpoint: str) -> None:
        self.screen.step("raise the load: each call burns 0.02 s of a processor")
        with self.burning(endpoint):
            self._until(lambda: min(self.picture()) >= FLOOR + 2, UP_S, "the load added no two replicas")
            self.screen.fact("and go on, until it is in what is recorded, which is looked at every 15 s")
            self._until(self.is_load_recorded, RECORDED_S, "nothing of the load was recorded")

    @contextmanager
    def burning(self, endpoint: str) -> Iterator[None]:
        with (
            Caller(endpoint, path="/burn?seconds=0.02") as first,
            Caller(endpoint, path="/burn?seconds=0.02") as second,
        ):
            yield
        self.take(first.take())
        self.take(second.take())

    def end_load(self) -> None:
        self.screen.step("end the load; somebody goes on calling who asks for nothing")
        self._until(lambda: self.picture() == (FLOOR, FLOOR), DOWN_S, "it did not go down to its floor")

    def explain(self, what: str) -> None:
        self.screen.step(f"explain: {what}")
        found = self.platform.client.explain(self.deployment_id)
        self._check(bool(found["decisions"]), "nothing was decided")
        show_explained(found)

    def try_policy(self) -> None:
        self.screen.step("what if it had aimed at 25 %, on the same load?")
        found: Json = {}

        def is_long_enough() -> bool:
            found.update(self.tried())
            begin, end = (datetime.fromisoformat(found[name]) for name in ("recordedFrom", "to"))
            return end - begin >= TRIED

        self._until(is_long_enough, RECORDED_S, "half a minute of its load was not recorded")
        self._check(found["actual"]["peak"] > FLOOR, "what was tried saw nothing of the load")
        show_trial(found)

    def is_load_recorded(self) -> bool:
        self.picture()
        found = self.tried()
        return found["recordedFrom"] is not None and found["actual"]["peak"] > FLOOR

    def tried(self) -> Json:
        """Another policy on what is recorded."""
        metric = {"metric": "cpu", "summary": "average", "value": 25}
        policy = {"maxReplicas": CEILING, "metrics": [metric], "behavior": QUICK}
        return self.platform.client.what_if(self.deployment_id, policy, since=self._began)

    def picture(self) -> tuple[int, int]:
        """The number in force and how many are ready; a line for each change."""
        found = self.platform.client.explain(self.deployment_id)
        seen = (int(found["replicas"]), int(found["ready"]))
        if seen != self._shown:
            self._shown = seen
            wanted, ready = seen
            bar = "#" * min(ready, wanted) + "." * max(0, wanted - ready)
            self.screen.fact(
                f"{self.screen.elapsed_s:6.1f} s  {bar:<{CEILING}}  {wanted} in force, {ready} ready"
            )
        return seen

    def answer_of(self, caller: Caller) -> Json:
        """Who answers; of several, the one that was there first."""
        instances = [one for run in self.platform.client.runs(self.deployment_id) for one in run["instances"]]
        oldest = instances[0]["id"]
        deadline = monotonic() + READY_S
        while True:
            response = caller.once()
            answer: Json = response.json()
            if response.status_code == 200 and answer["replica"] == oldest:
                return answer
            self._check(monotonic() < deadline, f"replica {oldest} does not answer")
            time.sleep(PAUSE_S)

    def take(self, tally: Tally) -> None:
        self.calls += tally.calls
        self.failures += tally.failures

    def _until(self, is_so: Callable[[], bool], within_s: float, complaint: str) -> None:
        deadline = monotonic() + within_s
        while not is_so():
            self._check(monotonic() < deadline, complaint)
            time.sleep(LOOK_S)

    def _check(self, is_so: bool, complaint: str) -> None:
        if not is_so:
            raise DemoFailed(complaint)


def main() -> int:
    screen = Screen("demo-scaling")
    return told(
        screen,
        "start the platform in a temporary home, measuring every second",
        lambda platform: ScalingStory(platform, screen).tell(),
        machine_types=MACHINE_TYPES,
        SPECSTREAM_USAGE_SECONDS="1",
    )


if __name__ == "__main__":
    sys.exit(main())
