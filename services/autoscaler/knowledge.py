"""All that the autoscaler knows, and what it would decide about one deployment now. Pure, given the times.

The facts come event by event, the measurements batch by batch, and of both only what is asked for is kept:
that of deployments that scale by load.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from libs.common.autoscaling.batches import Batches
from libs.common.autoscaling.in_flight_loads import Averages, InFlightLoads
from libs.common.autoscaling.request_counts import RequestCounts
from libs.common.autoscaling.usage import Requests, Usage, requests_of
from libs.common.events.envelope import Recorded
from libs.common.events.scaling import ReplicasDecided
from libs.common.machine_types.catalogue import MachineTypes
from libs.common.metrics.samples import Batch, Kind
from libs.common.scaling.behavior import MAX_PERIOD_S
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, Measured
from libs.common.scaling.in_flight import InFlightPolicy
from libs.common.scaling.limiting import Change
from libs.common.scaling.replicas import Replica
from libs.common.services import edge_of
from libs.common.spec.model import Autoscaling
from libs.common.spec.scaling_policy import policy_of
from libs.common.state.router import joined
from libs.common.state.view import DeploymentView, Views
from services.autoscaler.decide import Outcome, decide
from services.autoscaler.memory import Memory
from services.autoscaler.replicas_seen import ReplicasSeen, Seen
from services.autoscaler.situation import Situation, replicas_of, situate

METRICS_EVERY_S: Final = 15.0
IN_FLIGHT_EVERY_S: Final = 2.0
"""How often a deployment is decided about at least."""


MOST_RULES: Final = 1_000
"""That are remembered for who says the same."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a deployment is scaled by, and the part of its spec that says so."""

    stretch_id: str
    autoscaling: Autoscaling
    rules: HpaPolicy | InFlightPolicy
    needs_requests: bool

    @property
    def every_s(self) -> float:
        return IN_FLIGHT_EVERY_S if isinstance(self.rules, InFlightPolicy) else METRICS_EVERY_S


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The replicas that a decision counts, and what they were made of: most decisions find that unchanged."""

    situation: Situation
    seen: Mapping[str, Seen]
    requests: Mapping[str, Requests]
    replicas: tuple[Replica, ...]


@dataclass(slots=True)
class Knowledge:
    """request_window_s: what request durations are averaged over. cpu_initialization_s,
    initial_readiness_delay_s: for how long a young replica's cpu is no load."""

    machine_types: MachineTypes
    request_window_s: float
    cpu_initialization_s: float
    initial_readiness_delay_s: float
    views: Views
    policies: dict[str, Policy] = field(default_factory=dict)
    """Of every deployment that scales by load."""
    memories: dict[str, Memory] = field(default_factory=dict)
    heard_at: dict[Kind, float] = field(default_factory=dict)
    """When anything of that kind was last measured."""
    batches: Batches = field(default_factory=Batches)
    usage: Usage = field(default_factory=Usage)
    loads: InFlightLoads = field(default_factory=InFlightLoads)
    seen: ReplicasSeen = field(default_factory=ReplicasSeen)
    counts: RequestCounts = field(init=False)
    _fleets: dict[str, _Fleet] = field(default_factory=dict)
    _windows: dict[str, float] = field(default_factory=dict)
    """Of those that scale by requests in flight."""
    _rules_of: dict[Autoscaling, HpaPolicy | InFlightPolicy] = field(default_factory=dict)
    _by_requests: set[str] = field(default_factory=set)
    """Those that scale by the duration of requests."""

    def __post_init__(self) -> None:
        self.counts = RequestCounts(self.request_window_s)

    def note(
        self, view: DeploymentView, event: Recorded | None, *, now: float, wall: datetime | None = None
    ) -> None:
        """A deployment is so now. event: what was heard of it. wall: the time of day, where it is what was
        stored before anybody listened."""
        name = view.deployment_id
        policy = self._policy(view) if name in self.views.by_id else None
        if policy is None:
            if name in self.policies:
                self._forget(name)
            return
        self.policies[name] = policy
        memory = self.memories.get(name)
        if memory is None or memory.stretch_id != policy.stretch_id:
            memory = self.memories[name] = Memory(policy.stretch_id)
        if event is not None and isinstance(event.fact, ReplicasDecided):
            self.changed(name, event.fact, at=now)
        rules = policy.rules
        if isinstance(rules, InFlightPolicy):
            self._windows[name] = rules.window_s
        else:
            self._windows.pop(name, None)
        if policy.needs_requests:
            self._by_requests.add(name)
        else:
            self._by_requests.discard(name)
        self.seen.note(name, view.roster.replicas, now=now, wall=wall)

    def forget_changes(self) -> None:
        """The log is read again."""
        for name, memory in self.memories.items():
            if memory.hpa.changes:
                self.memories[name] = replace(memory, hpa=replace(memory.hpa, changes=()))

    def changed(self, deployment_id: str, fact: ReplicasDecided, *, at: float) -> None:
        """The number was changed, whoever decided it."""
        memory = self.memories.get(deployment_id)
        if memory is not None and memory.stretch_id == fact.stretch_id:
            change = Change(fact.to_replicas - fact.from_replicas, at)
            self.memories[deployment_id] = memory.with_change(change, longest_s=MAX_PERIOD_S)

    def take(self, batch: Batch, *, at: float) -> set[str]:
        """A batch was received. Returns the deployments of which something new is known."""
        if not self.batches.take(batch, at=at):
            return set()
        self.heard_at[batch.kind] = at
        match batch.kind:
            case Kind.USAGE:
                return self.usage.take(batch, at=at, wanted=self.policies)
            case Kind.REQUESTS:
                return self.counts.take(batch, at=at, wanted=self._by_requests)
            case Kind.IN_FLIGHT:
                return self.loads.take(batch, at=at, windows=self._windows)

    def outcome(self, deployment_id: str, *, now: float, wall: datetime) -> Outcome | None:
        """What is decided about it now; None where load changes nothing."""
        view, policy = self.views.by_id.get(deployment_id), self.policies.get(deployment_id)
        fleet = None if view is None else self._fleet(view)
        if fleet is None or policy is None:
            return None
        situation = fleet.situation
        name, rules = deployment_id, policy.rules
        measured, averages = Measured(), Averages()
        if isinstance(rules, InFlightPolicy):
            averages = self.loads.averages(
                name,
                window_s=rules.window_s,
                panic_window_s=rules.panic_window_s,
                now=now,
                expected=self._edges,
            )
        else:
            duration = (
                self.counts.measured(name, now=now, expected=self._edges) if policy.needs_requests else None
            )
            measured = Measured(self.usage.samples(name, situation.measured, now=now), duration)
        return decide(
            situation,
            rules,
            replicas=fleet.replicas,
            measured=measured,
            averages=averages,
            memory=self.memories.get(name) or Memory(situation.stretch_id),
            now=now,
            wall=wall,
        )

    @property
    def _edges(self) -> tuple[str, ...]:
        """Whose measurements make the whole where several routers measure: without one of them it is unknown
        how much load there is, also while that one was never heard. A single one is heard or nothing is."""
        routers = joined(self.views.apart)
        return tuple(map(edge_of, routers)) if len(routers) > 1 else ()

    def _fleet(self, view: DeploymentView) -> _Fleet | None:
        """None where load changes nothing."""
        name = view.deployment_id
        known = self._fleets.get(name)
        is_same = known is not None and known.situation.view is view
        situation = known.situation if known is not None and is_same else situate(view)
        if situation is None:
            return None
        seen = self.seen.of(name)
        requests = {one: self.usage.requests(name, one) for one in situation.measured}
        if known is not None and is_same and known.seen is seen and known.requests == requests:
            return known
        of_type = self._requests_of_type(situation)
        replicas = replicas_of(situation, seen, requests, of_type=of_type)
        found = self._fleets[name] = _Fleet(situation, seen, requests, replicas)
        return found

    def _policy(self, view: DeploymentView) -> Policy | None:
        deployment = view.deployment
        if deployment is None or deployment.scaling_since is None or not deployment.exists:
            return None
        spec = deployment.spec
        autoscaling = None if spec is None else spec.resources.autoscaling
        if spec is None or autoscaling is None or not spec.scale.is_autoscaled:
            return None
        known = self.policies.get(view.deployment_id)
        if (
            known is not None
            and known.stretch_id == deployment.scaling_since
            and known.autoscaling is autoscaling
        ):
            return known
        rules = self._rules(autoscaling)
        needs_requests = isinstance(rules, HpaPolicy) and any(
            isinstance(metric, DurationMetric) for metric in rules.metrics
        )
        return Policy(deployment.scaling_since, autoscaling, rules, needs_requests)

    def _rules(self, autoscaling: Autoscaling) -> HpaPolicy | InFlightPolicy:
        """Many deployments say the same, and share the answer."""
        if (known := self._rules_of.get(autoscaling)) is not None:
            return known
        rules = policy_of(autoscaling, request_window_s=self.request_window_s)
        if isinstance(rules, HpaPolicy):
            rules = replace(
                rules,
                cpu_initialization_s=self.cpu_initialization_s,
                initial_readiness_delay_s=self.initial_readiness_delay_s,
            )
        if len(self._rules_of) >= MOST_RULES:
            self._rules_of.clear()
        self._rules_of[autoscaling] = rules
        return rules

    def _requests_of_type(self, situation: Situation) -> Requests:
        found = self.machine_types.get(situation.spec.resources.machine_type)
        return {} if found is None else requests_of(cpus=found.cpus, memory_gib=found.memory_gib)

    def _forget(self, name: str) -> None:
        del self.policies[name]
        self.memories.pop(name, None)
        self._fleets.pop(name, None)
        self._windows.pop(name, None)
        self._by_requests.discard(name)
        self.usage.forget(name)
        self.counts.forget(name)
        self.loads.forget(name)
        self.seen.forget(name)
