"""The supervisor: starts or adopts every program, starts again what ends, until it is told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping

from libs.common import scrape_targets
from libs.common.bus import server_health
from libs.common.bus.server_health import ServerHealth
from libs.common.clock import Ticks, monotonic
from libs.common.cluster.local.shim import limits
from libs.common.cluster.local.shim.confine import notices
from libs.common.disk import MIB
from libs.common.domain import endpoint_host
from libs.supervisor import adoption, mirror_watch, nats_store, priority, processes, readiness, shutdown
from libs.supervisor.console import Console
from libs.supervisor.disk_watch import DiskWatch
from libs.supervisor.home import Home, write_public
from libs.supervisor.listeners import Listeners
from libs.supervisor.log_rotation import rotate_all
from libs.supervisor.ports import HOST, Ports
from libs.supervisor.preparation import choose_ports, prepare
from libs.supervisor.processes import Living, Process
from libs.supervisor.programs import CALLED, ENVOYS, EVERY_COPY, NATS, PROVISION, Program
from libs.supervisor.reserve_file import Reserve
from libs.supervisor.restarts import Restarts
from libs.supervisor.settings import SupervisorSettings

_SAY_WAITING_AFTER_S = 8.0
_STARTING_S = 2.0
_ROTATE_EVERY_S = 5.0


class Supervisor:
    """One run of a platform. The home's lock is held by the caller.

    It waits on process descriptors, and looks at the disk under the log every second.
    """

    def __init__(
        self, settings: SupervisorSettings, home: Home, console: Console, *, ticks: Ticks = monotonic
    ) -> None:
        self._settings = settings
        self._home = home
        self._console = console
        self._ticks = ticks
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._log_is_ready = asyncio.Event()
        self._reserve = Reserve(home.log_directory, size=settings.disk_reserve_mib * MIB)
        self._running: dict[str, Process] = {}
        self._told_to_end: Process | None = None
        self._provisioning = asyncio.Lock()
        self._listeners = Listeners(settings, home)

    async def run(self) -> None:
        """Until SIGINT, SIGTERM or SIGHUP; then everything is stopped. A second signal hurries.

        Raises CannotStart before anything is started, CannotStop when something would not end.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` means to outlive the terminal
            loop.add_signal_handler(signal.SIGHUP, self._on_signal)
        # Before anything is written: on a full disk its room is what the start needs.
        if done := self._reserve.make_room():
            self._console.say(done)
        found = await self._find()
        ports = choose_ports(self._settings, self._home, living={p.name for p in found if p.is_program})
        programs = prepare(self._settings, self._home, ports)
        # Nothing refuses the start any more, and a home that was refused must not keep room.
        if done := self._reserve.settle():
            self._console.say(done)
        adopted = await self._take_over(programs, found)
        self._watch_only(programs)
        self._listeners.take({name: process.pid for name, process in adopted.items()})
        if NATS not in adopted:
            nats_store.take_over(self._home)
        self._introduce(ports)
        await self._run_programs(programs, adopted, ports)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _find(self) -> tuple[Living, ...]:
        """What lives of this home, once none of it is between fork and exec any more."""
        deadline = self._ticks() + _STARTING_S
        found = processes.living(self._home)
        while any(process.is_starting for process in found) and self._ticks() < deadline:
            await asyncio.sleep(readiness.INTERVAL_S)
            found = processes.living(self._home)
        return found

    async def _take_over(
        self, programs: Mapping[str, Program], found: tuple[Living, ...]
    ) -> Mapping[str, Process]:
        decision = adoption.decide(programs, found)
        if decision.obsolete:
            names = ", ".join(process.name for process in decision.obsolete)
            self._console.say(f"stopping {names}: its settings changed")
            await shutdown.stop(
                decision.obsolete, self._home, grace_seconds=self._settings.grace_seconds, hurry=self._hurry
            )
        for name in programs:
            self._home.pid(name).unlink(missing_ok=True)
        adopted = {}
        for name, process in decision.kept.items():
            taken = processes.adopt(process, self._home)
            if taken is not None:
                adopted[name] = taken
                self._note_pid(taken)
                self._console.say(f"adopted {name} (pid {taken.pid})")
        return adopted

    def _watch_only(self, programs: Mapping[str, Program]) -> None:
        """What was taken out would be "down" for ever. It has ended by now, and lists itself no more."""
        are_read = self._settings.metrics == "prometheus"
        scrape_targets.keep_only(self._home.path / "run", programs if are_read else ())

    def _introduce(self, ports: Ports) -> None:
        key = "SPECSTREAM_API_KEY" if self._settings.api_key else self._home.api_key
        self._console.say(f"home       {self._home.path}")
        self._console.say(f"api        http://127.0.0.1:{ports.api}  (key: {key})")
        host = endpoint_host("<deployment_id>", self._settings.domain)
        for port in ports.edges:
            self._console.say(f"endpoints  http://{host}:{port}")
        self._console.say(f"events     nats://127.0.0.1:{ports.nats}  (seed: {self._home.seed('commands')})")
        if self._settings.cluster == "local":
            for notice in (*notices(), *limits.notices()):
                self._console.say(f"notice     {notice}")

    async def _run_programs(
        self, programs: Mapping[str, Program], adopted: Mapping[str, Process], ports: Ports
    ) -> None:
        async def provision() -> None:
            await readiness.wait_for_nats(ports.nats)
            await self._provision(programs[PROVISION], adopted.get(PROVISION))
            self._log_is_ready.set()

        broker = ServerHealth(f"nats://{HOST}:{ports.nats}", self._home.seed(server_health.USER))
        disk = DiskWatch(self._reserve, self._console, broker, ticks=self._ticks)

        async def keep_nats() -> None:
            await self._keep(
                programs[NATS], adopted.get(NATS), before_start=disk.wait_for_room, after_start=provision
            )

        async def keep_service(name: str) -> None:
            await self._log_is_ready.wait()
            await self._keep(programs[name], adopted.get(name))

        keepers = [
            asyncio.ensure_future(keep_nats()),
            *(
                asyncio.ensure_future(self._keep(programs[name], adopted.get(name)))
                for name in programs
                if name in ENVOYS
            ),
            *(asyncio.ensure_future(keep_service(name)) for name in programs if name in EVERY_COPY),
        ]
        herald = asyncio.ensure_future(self._say_when_ready(ports, programs))

        async def make_mirror(why: str) -> None:
            if self._provisioning.locked() or not self._log_is_ready.is_set():
                return  # it is being made
            self._console.say(f"the copy of the events for other systems is made again: {why}")
            await self._provision(programs[PROVISION], None)

        watching = asyncio.gather(
            disk.run(self._restart_nats),
            self._keep_logs_bounded(),
            mirror_watch.watch(broker, make_mirror),
        )
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({*keepers, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            herald.cancel()
            watching.cancel()
            self._stop.set()
            self._listeners.close()
            await shutdown.stop_everything(
                self._home, self._console, grace_seconds=self._settings.grace_seconds, hurry=self._hurry
            )
            stopped.cancel()
            self._log_is_ready.set()
            await asyncio.gather(herald, watching, stopped, return_exceptions=True)
            broker.close()
        await asyncio.gather(*keepers)
        self._console.say("stopped")

    async def _keep(
        self,
        program: Program,
        process: Process | None,
        *,
        before_start: Callable[[], Awaitable[None]] | None = None,
        after_start: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Keep a program running until the platform stops: from the process given, else a new one."""
        restarts = Restarts()
        while not self._stop.is_set():
            if process is None and before_start is not None:
                await self._unless_stopped(before_start())
                if self._stop.is_set():
                    return
            started_at = self._ticks()
            if process is None:
                process = self._start(program)
            if process is not None:
                self._running[program.name] = process
                accompanying = asyncio.ensure_future(after_start()) if after_start else None
                ending = await self._end_of(process, accompanying)
                if self._stop.is_set():
                    return
                self._console.say(f"{program.name} (pid {process.pid}) {ending}")
                process = None
            delay_s, restarts = restarts.ended(lived_s=self._ticks() - started_at)
            self._console.say(
                f"starting {program.name} again in {delay_s:.1f} s, see {self._home.log(program.name)}"
            )
            await self._pause(delay_s)

    def _start(self, program: Program) -> Process | None:
        """A new process of the program; None when the machine could not start one."""
        try:
            listeners = self._listeners.of(program.name)
            process = processes.spawn(program, self._home, root=self._settings.root, listeners=listeners)
        except OSError as error:
            self._console.say(f"cannot start {program.name}: {error}")
            return None
        if program.name in CALLED:
            priority.put_first(process.pid)
        self._note_pid(process)
        self._console.say(f"started {program.name} (pid {process.pid})")
        return process

    def _note_pid(self, process: Process) -> None:
        """For people and scripts; we ourselves find processes by their marks."""
        try:
            write_public(self._home.pid(process.name), f"{process.pid}\n")
        except OSError as error:
            self._console.say(f"cannot note the pid of {process.name}: {error}")

    async def _end_of(self, process: Process, accompanying: "asyncio.Future[None] | None") -> str:
        """Wait for the end of a process; what goes along with its life ends with it."""
        try:
            return await process.ended()
        finally:
            process.close()
            self._running.pop(process.name, None)
            self._home.pid(process.name).unlink(missing_ok=True)
            if not self._stop.is_set():
                self._listeners.take_back(process.name)
            if accompanying is not None:
                accompanying.cancel()
                await asyncio.gather(accompanying, return_exceptions=True)

    async def _provision(self, program: Program, process: Process | None) -> None:
        """Bring streams and durables up to date, as often as it takes; one at a time."""
        async with self._provisioning:
            await self._provision_alone(program, process)

    async def _provision_alone(self, program: Program, process: Process | None) -> None:
        restarts = Restarts()
        while not self._stop.is_set():
            started_at = self._ticks()
            if process is None:
                process = self._start(program)
            if process is not None:
                ending = await self._end_of(process, None)
                if ending == processes.SUCCEEDED or self._stop.is_set():
                    return
                process = None
                self._console.say(f"{program.name} {ending}, see {self._home.log(program.name)}")
            delay_s, restarts = restarts.ended(lived_s=self._ticks() - started_at)
            await self._pause(delay_s)

    def _restart_nats(self, why: str) -> None:
        """End it; its keeper starts it again. One that does not end is killed when this is asked again."""
        process = self._running.get(NATS)
        if process is None:
            return
        self._console.say(why)
        process.send(signal.SIGKILL if process is self._told_to_end else signal.SIGTERM)
        self._told_to_end = process

    async def _keep_logs_bounded(self) -> None:
        """Until it is cancelled."""
        said = set[str]()

        def say(line: str) -> None:
            if line not in said:
                said.add(line)
                self._console.say(line)

        while True:
            rotate_all(self._home.logs, say=say)
            await asyncio.sleep(_ROTATE_EVERY_S)

    async def _unless_stopped(self, waiting: Awaitable[None]) -> None:
        """Until that is over, or the platform stops."""
        over, stopped = asyncio.ensure_future(waiting), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({over, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (over, stopped):
                task.cancel()
            await asyncio.gather(over, stopped, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    async def _say_when_ready(self, ports: Ports, names: Collection[str]) -> None:
        started_at = self._ticks()
        said = ""
        while not (health := await self._health(ports, names)).is_ready:
            waited_s = self._ticks() - started_at
            if waited_s > _SAY_WAITING_AFTER_S and health.waiting_for != said:
                said = health.waiting_for
                self._console.say(f"still waiting for {said}")
            is_starting = waited_s < _SAY_WAITING_AFTER_S
            await asyncio.sleep(readiness.INTERVAL_S if is_starting else readiness.PATIENT_INTERVAL_S)
        self._console.say(f"ready in {self._ticks() - started_at:.1f} s")

    async def _health(self, ports: Ports, names: Collection[str]) -> readiness.Health:
        health = await readiness.read_health(ports.api)
        return health.of({name: process.pid for name, process in self._running.items()}, names)
