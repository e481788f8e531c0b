"""The probe runner: every check of every running process when it is due, and what its outcomes conclude.

One task for each attempt in flight, one heap for all that waits; nothing here writes to the log.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from libs.common import telemetry
from libs.common.clock import Clock, Ticks
from libs.common.cluster.port import Cluster, ObservedReplica, ObservedWorkload, ReplicaPhase
from libs.common.events.replica import Replica, ReplicaState
from libs.common.set_aside import Aside
from libs.common.state.replica import Roster
from services.health import examination, schedule
from services.health.commands import run_command
from services.health.examination import Conclusion, Ready
from services.health.probed import Attempt, CheckSeen, Made, ProbedProcess
from services.health.prober import Prober
from services.health.probing import CheckKind, Failure, Outcome, ProberError, Success
from services.health.schedule import Schedule
from services.health.slots import Slots
from services.health.verdicts import Conclusions, Started

logger = structlog.get_logger()

IN_FLIGHT = 512
"""Attempts at one time, each with one file; the rest waits its turn, and its time limit starts with it."""

COMMANDS_IN_FLIGHT = 32
"""Attempts at one time that are commands, each with processes of its own: they take their turns apart, so
that what a machine can start bounds them and they keep nobody else waiting."""

EAGER = frozenset({CheckKind.STARTUP, CheckKind.READINESS})
"""Checks whose first success somebody waits for."""


class ProbeRunner:
    """Follows the processes that a cluster shows and examines them until they are gone."""

    def __init__(
        self,
        prober: Prober,
        *,
        clock: Clock,
        ticks: Ticks,
        on_verdict: Callable[[str], None],
        on_change: Callable[[str], None] = lambda _: None,
        aside: Aside,
        cluster: Cluster,
    ) -> None:
        """cluster: runs the checks that are commands.

        on_verdict: called with the deployment_id when a check of it has concluded something new; on_change:
        when one came out otherwise than the time before.

        aside: where deployments are noted whose checks could not be made, by a fault of ours.
        """
        self._prober = prober
        self._cluster = cluster
        self._clock = clock
        self._ticks = ticks
        self._on_verdict = on_verdict
        self._on_change = on_change
        self._aside = aside
        self._processes: dict[str, dict[str, ProbedProcess]] = defaultdict(dict)
        self._schedule: Schedule[Attempt] = Schedule()
        self._poked = asyncio.Event()
        self._slots = Slots(IN_FLIGHT)
        self._command_slots = Slots(COMMANDS_IN_FLIGHT)
        self._probes = telemetry.counter(
            "specstream.health.probes", unit="{probe}", description="Probe attempts by check and outcome"
        )
        self._failed = telemetry.counter(
            "specstream.health.failed_probes",
            unit="{probe}",
            description="Probe attempts that failed, by deployment",
        )
        self._durations = telemetry.histogram(
            "specstream.health.probe.duration", unit="s", description="How long an attempt of a check took"
        )

    def dismiss_all_but(self, deployment_ids: Collection[str]) -> None:
        """End the examination of every deployment that the cluster does not show any more."""
        for deployment_id in self._processes.keys() - set(deployment_ids):
            self.dismiss(deployment_id)

    def dismiss(self, deployment_id: str) -> None:
        """End the examination of one of which nothing is left."""
        self._dismiss(self._processes.pop(deployment_id, {}).values())
        self._aside.succeeded(deployment_id)

    def close(self) -> None:
        """Nothing more is examined: `run` was ended."""
        self._aside.clear()

    def attend_one(
        self, deployment_id: str, workload: ObservedWorkload | None, roster: Roster | None
    ) -> None:
        """Examine exactly the processes of a deployment that run in `workload`.

        A process that the roster knows already is examined from where it stood.
        """
        processes = self._processes[deployment_id]
        replicas = workload.replicas if workload else ()
        running = {o.replica_id: o for o in replicas if o.phase is ReplicaPhase.RUNNING and _has_address(o)}
        for replica_id in processes.keys() - running.keys():
            self._dismiss([processes.pop(replica_id)])
        for replica_id, o in running.items():
            process = processes.get(replica_id)
            if process is not None and _is_same_process(process, o):
                continue
            if process is not None:
                self._dismiss([process])
            processes[replica_id] = self._admit(deployment_id, o, roster.get(replica_id) if roster else None)

    def conclusions(self, deployment_id: str) -> Conclusions:
        """What the checks of a deployment's processes say now."""
        processes = self._processes.get(deployment_id, {})
        return {(process.replica_id, process.attempt): self._said(process) for process in processes.values()}

    def _said(self, process: ProbedProcess) -> Conclusion:
        if process.ready_since is None or not isinstance(process.conclusion, Ready):
            return process.conclusion
        return replace(process.conclusion, lasted_s=self._ticks() - process.ready_since)

    def started(self, deployment_id: str) -> Started:
        """The processes of a deployment whose startup check has succeeded."""
        processes = self._processes.get(deployment_id, {})
        return frozenset(
            (process.replica_id, process.attempt)
            for process in processes.values()
            if examination.has_passed_startup(process.exam)
        )

    def seen(self, deployment_id: str) -> Mapping[tuple[str, int], tuple[CheckSeen, ...]]:
        """How the checks of a deployment's processes stand, by replica_id and attempt."""
        return {
            (process.replica_id, process.attempt): tuple(
                CheckSeen(kind, state.standing, state.failures, process.made.get(kind))
                for kind, state in process.exam.states.items()
            )
            for process in self._processes.get(deployment_id, {}).values()
        }

    async def run(self) -> None:
        """Never returns."""
        async with asyncio.TaskGroup() as attempts:
            while True:
                now = self._ticks()
                for planned, due_at in self._schedule.pop_due(now):
                    if self._is_wanted(planned):
                        planned.process.busy.add(planned.kind)
                        attempts.create_task(self._make(planned, due_at))
                next_at = self._schedule.next_at()
                self._poked.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if next_at is None else max(0.0, next_at - now)):
                        await self._poked.wait()

    # One process of a replica comes and goes.

    def _admit(self, deployment_id: str, o: ObservedReplica, known: Replica | None) -> ProbedProcess:
        assert o.host is not None
        assert o.ports is not None
        if known is not None and (known.attempt, known.address) != (o.attempt, o.address):
            known = None
        exam = examination.resume(o.template, known) if known else examination.begin(o.template)
        conclusion = examination.conclude(exam)
        age_s = max(0.0, (self._clock() - o.started_at).total_seconds()) if o.started_at else 0.0
        process = ProbedProcess(
            deployment_id=deployment_id,
            replica_id=o.replica_id,
            attempt=o.attempt,
            host=o.host,
            ports=o.ports,
            first_port=o.template.ports[0],
            started_at=self._ticks() - age_s,
            exam=exam,
            conclusion=conclusion,
            ready_since=self._ticks() if isinstance(conclusion, Ready) else None,
        )
        was_ready = known is not None and known.state is ReplicaState.RUNNING
        self._plan_first(process, examination.active(process.exam), is_urgent=not was_ready)
        return process

    def _dismiss(self, processes: Iterable[ProbedProcess]) -> None:
        for process in processes:
            process.is_gone = True
            for kind in process.exam.checks:
                self._schedule.drop(Attempt(process, kind))
                self._schedule.drop(Attempt(process, kind, is_eager=True))

    # When.

    def _plan(self, planned: Attempt, due_at: float) -> None:
        next_at = self._schedule.next_at()
        self._schedule.put(planned, due_at)
        if next_at is None or due_at < next_at:
            self._poked.set()

    def _plan_first(self, process: ProbedProcess, kinds: Iterable[CheckKind], *, is_urgent: bool) -> None:
        """The attempts that count begin one period after the start and the initial delay, as late as the
        kubelet's: a process has the whole of delay + period x threshold before it is condemned.

        Before that a startup or readiness check is tried at once, and while nothing listens on its port
        again and again, so that a default period of ten seconds does not delay each first readiness by it.
        """
        now = self._ticks()
        for kind in kinds:
            check = process.exam.checks[kind]
            due_at = schedule.first_due(
                f"{process.replica_id}/{kind}",
                started_at=process.started_at,
                initial_delay_s=check.initial_delay_seconds,
                period_s=check.period_seconds,
                now=now,
                is_urgent=is_urgent,
            )
            if kind in EAGER and is_urgent:
                self._plan(Attempt(process, kind, is_eager=True), due_at)
            is_early = is_urgent and kind is not CheckKind.PORT
            self._plan(Attempt(process, kind), due_at + check.period_seconds if is_early else due_at)

    def _plan_next(self, planned: Attempt, due_at: float) -> None:
        process, kind, _ = planned
        if kind is CheckKind.PORT:
            self._plan(planned, self._ticks() + self._count_port_retry(process, kind))
            return
        period_s = process.exam.checks[kind].period_seconds
        self._plan(planned, schedule.next_due(due_at, period_s=period_s, now=self._ticks()))

    def _count_port_retry(self, process: ProbedProcess, kind: CheckKind) -> float:
        port_retries = process.port_retries.get(kind, 0)
        process.port_retries[kind] = port_retries + 1
        return schedule.port_retry_delay_s(port_retries)

    def _is_wanted(self, planned: Attempt) -> bool:
        """Whether to make this attempt now; one attempt of a check at a time."""
        process, kind, is_eager = planned
        if process.is_gone or kind not in examination.active(process.exam):
            return False
        if kind in process.busy:
            if not is_eager:
                self._schedule.put(planned, self._ticks() + schedule.PORT_RETRY.first_s)
            return False
        return True

    # What.

    async def _make(self, planned: Attempt, due_at: float) -> None:
        process, kind, is_eager = planned
        outcome, latency_s = await self._examine(process, kind)
        process.busy.discard(kind)
        if process.is_gone:
            return
        self._count(process, kind, outcome, latency_s)
        last, process.made[kind] = process.made.get(kind), Made(outcome, self._clock(), latency_s)
        if last is None or last.outcome != outcome or isinstance(outcome, Failure):
            self._on_change(process.deployment_id)
        if is_eager and not isinstance(outcome, Success):
            if isinstance(outcome, Failure) and outcome.is_refused:
                self._plan(planned, self._ticks() + self._count_port_retry(process, kind))
            return
        before = examination.active(process.exam)
        process.exam, is_news = examination.take(process.exam, kind, outcome)
        after = examination.active(process.exam)
        if kind in after and not is_eager:
            self._plan_next(planned, due_at)
        self._plan_first(process, after - before, is_urgent=True)
        if is_news:
            process.conclusion = examination.conclude(process.exam)
            is_ready = isinstance(process.conclusion, Ready)
            if is_ready != (process.ready_since is not None):
                process.ready_since = self._ticks() if is_ready else None
            self._on_verdict(process.deployment_id)

    async def _examine(self, process: ProbedProcess, kind: CheckKind) -> tuple[Outcome, float]:
        """Made when its deployment's turn comes; with how long it took then. What goes wrong with us is no
        fault of the replica."""
        deployment_id = process.deployment_id
        began = self._ticks()

        async def attempt() -> Outcome:
            nonlocal began
            began = self._ticks()
            return await self._probe(process, kind)

        try:
            outcome = await self._slots_of(process, kind).run(deployment_id, attempt)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._aside.failed(deployment_id, error)
            return ProberError(f"{type(error).__name__}: {error}"), self._ticks() - began
        if deployment_id in self._aside:
            self._aside.succeeded(deployment_id)
        return outcome, self._ticks() - began

    def _slots_of(self, process: ProbedProcess, kind: CheckKind) -> Slots:
        return self._slots if process.exam.checks[kind].exec is None else self._command_slots

    async def _probe(self, process: ProbedProcess, kind: CheckKind) -> Outcome:
        check = process.exam.checks[kind]
        if check.exec is not None:
            ids = (process.deployment_id, process.replica_id, process.attempt)
            return await run_command(self._cluster, *ids, check)
        endpoint = process.endpoint(kind)
        if kind is CheckKind.PORT:
            return await self._prober.connect(endpoint)
        return await self._prober.get(endpoint, check, process.ports)

    def _count(self, process: ProbedProcess, kind: CheckKind, outcome: Outcome, latency_s: float) -> None:
        if isinstance(outcome, ProberError):
            logger.warning("probe could not be made", check=kind, error=outcome.message)
        self._probes.add(1, {"check": str(kind), "outcome": type(outcome).__name__.lower()})
        if isinstance(outcome, Failure):
            self._failed.add_each({process.deployment_id: 1})
        is_command = process.exam.checks[kind].exec is not None
        form = "exec" if is_command else "port" if kind is CheckKind.PORT else "http"
        self._durations.record(latency_s, {"form": form})


def _has_address(o: ObservedReplica) -> bool:
    return o.host is not None and bool(o.ports)


def _is_same_process(process: ProbedProcess, o: ObservedReplica) -> bool:
    return (process.attempt, process.host, process.ports) == (o.attempt, o.host, o.ports)
