"""The demo: a spec becomes an endpoint, changes, rolls back and goes away. Every claim is checked."""

import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.cli import edge, specfile, waiting
from libs.cli.demo import trace
from libs.cli.demo.calls import Caller
from libs.cli.demo.platform import DemoFailed, Platform
from libs.cli.demo.screen import Screen
from libs.client import ApiError, Json
from libs.common.clock import monotonic, utc_now
from libs.supervisor.settings import ROOT

SPEC = ROOT / "examples" / "health-checks" / "specstream.yaml"
SUBMIT = ROOT / "examples" / "commands" / "submit.py"
STEP_S = 120.0
"""Each takes a second or two on a machine with nothing else to do."""


@dataclass(slots=True)
class Story:
    """The steps share one deployment: made by `deploy`, gone after `delete`.

    image: instead of the spec's, which the local cluster does not look at.
    """

    platform: Platform
    screen: Screen
    image: str | None = None
    deployment_id: str = ""
    first_spec_id: str = ""
    changed: tuple[str, datetime, datetime] | None = None

    def tell(self) -> None:
        spec = specfile.load(SPEC)
        if self.image:
            spec["image"] = self.image
        caller = self.deploy(spec)
        with caller:
            spec = self.change(spec, caller)
            self.scale(spec, caller)
            self.roll_back(caller)
        self.disable_and_enable(caller)
        self.explain()
        self.delete(caller)
        self.submit_as_another_system(spec)
        self.verify()

    def deploy(self, spec: Json) -> Caller:
        self.screen.step("deploy examples/health-checks: 2 replicas, each loads its model first")
        self.deployment_id = self.platform.client.submit(spec)
        seen = self._await_done()
        self.first_spec_id = seen.spec["id"]
        endpoint = str(seen.deployment["endpoint"])
        caller = Caller(endpoint)
        self.screen.fact(f"GET http://{endpoint}/predict/")
        answers = self._answers(caller, replicas=2)
        for replica_id, answer in answers.items():
            self.screen.fact(
                f"replica {replica_id[:12]}, pid {answer['pid']}, model version {answer['model_version']}:"
                f" probability {answer['probability']}"
            )
        return caller

    def change(self, spec: Json, caller: Caller) -> Json:
        self.screen.step("change the spec while a client keeps calling: MODEL_VERSION 1 -> 2")
        changed = copy.deepcopy(spec)
        for variable in changed["env"]:
            if variable["name"] == "MODEL_VERSION":
                variable["value"] = "2"
        caller.take()
        began = utc_now()
        same_id = self.platform.client.submit(changed)
        self._check(same_id == self.deployment_id, "the update made another deployment")
        seen = self._await_done()
        spec_id = seen.spec["id"]
        self._check(spec_id != self.first_spec_id, "the update has no spec_id of its own")
        self._await_one_run()
        self._until(lambda: spec_id in caller.first_served, "no call was answered by the new spec")
        self.screen.fact(f"spec {self.first_spec_id} -> {spec_id}, same deployment {self.deployment_id}")
        tally = self._count(caller)
        self._check(self.first_spec_id in tally.specs, "the old run did not serve during the update")
        self.changed = (spec_id, began, caller.first_served[spec_id])
        return changed

    def scale(self, spec: Json, caller: Caller) -> None:
        self.screen.step("change only `replicas` 2 -> 3: nothing restarts")
        before = self._answers(caller, replicas=2)
        scaled = copy.deepcopy(spec)
        scaled["resources"]["replicas"] = 3
        self.platform.client.submit(scaled)
        self._await_done()
        after = self._answers(caller, replicas=3)
        for replica_id, answer in before.items():
            self._check(
                replica_id in after and after[replica_id]["pid"] == answer["pid"],
                f"replica {replica_id} did not stay as it was",
            )
            self.screen.fact(f"replica {replica_id[:12]} is still pid {answer['pid']}")
        self._count(caller)

    def roll_back(self, caller: Caller) -> None:
        self.screen.step("history, and back to the first spec")
        for old in self.platform.client.history(self.deployment_id):
            version = next(v["value"] for v in old["data"]["env"] if v["name"] == "MODEL_VERSION")
            self.screen.fact(
                f"spec {old['id']}  replicas {old['data']['resources']['replicas']}  MODEL_VERSION {version}"
            )
        rolled_back = self.platform.client.rollback(self.deployment_id, self.first_spec_id)
        self._await_done()
        self._await_one_run()
        differences = self.platform.client.diff(
            self.deployment_id, before=self.first_spec_id, after=rolled_back
        )
        self._check(not differences, f"the rollback differs from the first spec: {differences}")
        answers = self._answers(caller, replicas=2)
        versions = {answer["model_version"] for answer in answers.values()}
        self._check(versions == {"1"}, f"after the rollback versions {versions} answer")
        self.screen.fact(f"spec {rolled_back} is the first spec again; model version 1 answers")
        self._count(caller)

    def disable_and_enable(self, caller: Caller) -> None:
        self.screen.step("disable, and enable again")
        config = self.platform.client.deployment(self.deployment_id)["latestSpec"]["data"]
        self.platform.client.submit({**config, "enabled": False})
        self._await_refusal(caller, "deployment_disabled")
        self._await_done()
        self.platform.client.submit({**config, "enabled": True})
        self._await_done()
        self._answers(caller, replicas=2)
        self.screen.fact("enabled: both replicas answer again")

    def delete(self, caller: Caller) -> None:
        self.screen.step("delete")
        self.platform.client.delete(self.deployment_id)
        self._await_refusal(caller, "deployment_not_found")
        try:
            self.platform.client.deployment(self.deployment_id)
        except ApiError as error:
            self._check(error.status == 404, f"GET of a deleted deployment answers {error.status}")
        else:
            raise DemoFailed("GET of a deleted deployment finds it")

    def submit_as_another_system(self, spec: Json) -> None:
        self.screen.step("the same spec once more, as another system: a CloudEvent over NATS")
        file = self.platform.home / "command.json"
        file.write_text(json.dumps(spec))
        ran = subprocess.run(
            [sys.executable, str(SUBMIT), str(self.platform.home), str(file)],
            capture_output=True,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        self._check(ran.returncode == 0, f"the command was not answered: {ran.stdout}{ran.stderr}")
        answer = json.loads(ran.stdout)
        self._check(answer["type"] == "done", f"the command was refused: {answer}")
        self.screen.fact(f"command {answer['commandId']} of {answer['commandSource']} is done")
        self.screen.fact(f"deployment {answer['deploymentId']}; spec {answer['specId']}")
        self.deployment_id = answer["deploymentId"]
        seen = self._await_done()
        self._answers(Caller(str(seen.deployment["endpoint"])), replicas=2)
        self.screen.fact("both replicas answer")

    def explain(self) -> None:
        if self.changed is None:
            raise DemoFailed("nothing was changed")
        spec_id, began, first_served = self.changed
        self.screen.step(f"the trace of one change: spec {spec_id}")
        events = list(self.platform.client.events(deployment_id=self.deployment_id))
        steps = list(trace.of_change(events, spec_id=spec_id, began=began, first_served=first_served))
        # Health may tell of a replica before the reconciler tells that it was applied.
        self._check(
            sorted(step.who for step in steps) == sorted(("client", "api", "reconciler", "health", "router")),
            f"the trace has gaps: {steps}",
        )
        for step in steps:
            self.screen.fact(f"+{step.at_s:7.3f} s  {step.who:<11} {step.what}")

    def verify(self) -> None:
        self.screen.step("verify the log")
        result = self.platform.client.verify_log()
        self._check(bool(result["ok"]), f"the log is not sound: {result}")
        self.screen.fact(f"{result['events']} events, {result['aggregates']} aggregates verified")

    def _await_done(self) -> waiting.Seen:
        return waiting.until_done(
            self.platform.client, self.deployment_id, deadline_s=STEP_S, on_change=self.screen.replicas
        )

    def _await_one_run(self) -> None:
        self._until(
            lambda: len(self.platform.client.runs(self.deployment_id)) == 1, "the old run did not go away"
        )

    def _answers(self, caller: Caller, *, replicas: int) -> dict[str, Json]:
        """One answer of each replica, by its id; fails unless that many, and no more, answer. When one
        request was led to a replica, every call has to be answered by one."""
        answers: dict[str, Json] = {}
        deadline = monotonic() + STEP_S
        edge.until_led(caller.endpoint, give_up=deadline)
        while len(answers) < replicas:
            response = caller.once()
            self._check(response.status_code == 200, f"a call was answered {response.status_code}")
            body: Json = response.json()
            self._check(
                response.headers["x-specstream-replica"] == body["replica_id"],
                "x-specstream-replica names another replica than the one that answered",
            )
            answers[body["replica_id"]] = body
            self._check(monotonic() < deadline, f"only {len(answers)} of {replicas} replicas answer")
        runs = self.platform.client.runs(self.deployment_id)
        listed = {instance["id"] for run in runs for instance in run["instances"]}
        self._check(listed == set(answers), f"{sorted(answers)} answer, {sorted(listed)} are there")
        return answers

    def _await_refusal(self, caller: Caller, error_code: str) -> None:
        def is_refused() -> bool:
            response = caller.once()
            return response.status_code == 404 and response.json()["error_code"] == error_code

        self._until(is_refused, f"calls are not answered 404 {error_code}")
        self.screen.fact(f"calls are answered 404 {error_code}")

    def _count(self, caller: Caller) -> Any:
        tally = caller.take()
        self.screen.fact(f"calls: {tally.calls}, failed: {tally.failed}")
        self._check(tally.calls > 0, "the client made no call")
        self._check(tally.failed == 0, f"calls failed: {tally.failures[:5]}")
        return tally

    def _until(self, is_so: Callable[[], bool], complaint: str) -> None:
        deadline = monotonic() + STEP_S
        while not is_so():
            self._check(monotonic() < deadline, complaint)
            time.sleep(0.1)

    def _check(self, is_so: bool, complaint: str) -> None:
        if not is_so:
            raise DemoFailed(complaint)
