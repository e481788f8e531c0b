"""The shim: the parent of one replica's process. It starts it, notes how it ends, and starts it again.

It rests on nothing but its replica's directory: killed, its replica goes on, and the next shim takes over
from the files. It does not stand between the replica and its log, its lock or its ports.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import sys
import time

from libs.common.cluster.local.shim import back_off, expand, files, libc, ports, proc, process, temporary
from libs.common.cluster.local.shim.checks import Checks
from libs.common.cluster.local.shim.confine import Confinement
from libs.common.cluster.local.shim.gone import delete, forget_oldest
from libs.common.cluster.local.shim.limits import cgroup_of, shared_memory_of
from libs.common.cluster.local.shim.log_keeper import LogKeeper, Teller
from libs.common.cluster.local.shim.state import State
from libs.common.cluster.local.shim.turns import LONGEST_S, LOOK_S, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from libs.common.cluster.local.shim.process import Process

CHECKOUT = os.path.abspath(f"{__file__}/../../../../../..")
"""With the environment of the platform's `python`, which replicas use."""
ROOM_AGAIN_S = 1.0
"""On a full disk: between two attempts to write."""


class Shim:
    """Looks after the replica in `directory`. Build it through `take_over`."""

    def __init__(self, directory: str, record: dict[str, Any]) -> None:
        self._directory = directory
        self._record = record
        self._template: dict[str, Any] = record["template"]
        self._state = State(files.read_json(f"{directory}/{files.STATE}"))
        self._deployment = os.path.dirname(directory)
        self._log = f"{directory}/{files.LOG}"
        self._teller = Teller()
        self._keeper = LogKeeper(self._deployment, self._log, record["order"], self._teller)
        self._root = os.path.dirname(os.path.dirname(self._deployment))
        self._cwd = f"{directory}/{files.CWD}"
        self._temporary = f"{self._root}/{files.TEMPORARY}/{record['replica_id'][-12:]}"
        self._ports = ports.OwnPorts(self._root)
        self._control = os.open(f"{directory}/{files.CONTROL}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._cgroup = cgroup_of(record)
        self._checks = Checks(
            directory, self._prepared, lambda: self._confinement(has_mounts=True), self._entrance
        )
        self._process: Process | None = None
        self._is_family_known = self._state.attempt is None
        """Whether every process that the replica ever had was started below this shim."""

    def run(self) -> None:
        """Until the replica is stopped for good."""
        self._resume()
        while not os.path.exists(f"{self._directory}/{files.STOP}"):
            if self._process is None:
                wait_s = self._restart_wait_s()
                if wait_s > 0:
                    self._sleep(wait_s)
                else:
                    self._start_in_turn()
            elif self._process.has_ended():
                self._note_end()
            elif self._is_condemned():
                self._process.end(self._record["grace_s"])
            else:
                self._checks.begin(self._process, self._state.attempt)
                self._sleep(self._keeper.next_check_s)
                self._keeper.check()
        self._finish()

    def _resume(self) -> None:
        """Adopt the process that an earlier shim started, or note that it ended unseen."""
        state = self._state
        if state.pid is None:
            return
        is_ours = state.start_ticks == proc.start_ticks(state.pid) or proc.carries(
            state.pid, self._record["replica_id"]
        )
        if is_ours and self._is_lock_held_or_id_carried(state.pid):
            self._process = process.adopt(state.pid)
        if self._process is None:
            self._note_end()

    def _is_lock_held_or_id_carried(self, pid: int) -> bool:
        lock = self._try_lock()
        if lock is None:
            return True
        os.close(lock)
        return proc.carries(pid, self._record["replica_id"])

    def _try_lock(self) -> int | None:
        lock = os.open(f"{self._directory}/{files.LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _lock(self) -> int:
        """The lock for the next process. What still holds it belongs to an earlier one, whatever it did to
        its environment."""
        while (lock := self._try_lock()) is None:
            for pid in proc.holders(f"{self._directory}/{files.LOCK}"):
                process.kill(pid)
            process.reap()
            time.sleep(0.02)
        return lock

    def _start_in_turn(self) -> None:
        turn = Turn(self._deployment, self._record["order"])
        try:
            if not os.path.exists(f"{self._directory}/{files.STOP}"):
                self._start()
                self._let_settle()
        finally:
            turn.end()

    def _let_settle(self) -> None:
        """Until the process waits for something, and no longer than a turn lasts or nothing else is to do."""
        until = time.monotonic() + LONGEST_S
        used: int | None = None
        while self._process is not None and time.monotonic() < until:
            if select.select([self._control, self._process.fileno()], [], [], LOOK_S)[0]:
                return
            before, used = used, proc.used_while_waiting(self._process.pid)
            if used is not None and used == before:
                return

    def _start(self) -> None:
        state, now = self._state, time.time()
        state.attempt = 0 if state.attempt is None else state.attempt + 1
        state.restart_at = None
        state.message = None
        state.started_at = now
        try:
            self._process = self._spawn()
        except process.CannotStart as error:
            self._note_failure(error.message, error.status)
        except (OSError, ValueError) as error:
            self._note_failure(f"cannot start: {error}", 126)

    def _spawn(self) -> Process:
        os.makedirs(self._cwd, mode=0o700, exist_ok=True)
        temporary.prepare(self._temporary, self._cwd)
        self._state.ports = self._ports.settle(self._template["ports"], self._state.ports)
        file, argv, env = self._prepared(self._template["command"])
        lock = self._lock()
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        confinement = None
        entrance = self._entrance()
        try:
            confinement = self._confinement()
            started = process.spawn(
                file,
                argv,
                env,
                log=log,
                inherited=[lock, *self._ports.descriptors],
                entrance=entrance,
                confinement=confinement,
                before_exec=self._note_start,
            )
            if entrance is not None and self._cgroup is not None and not self._cgroup.has(started.pid):
                self._teller.say("its CPU and memory are not limited: it could not be moved to its cgroup")
            return started
        finally:
            os.close(lock)
            os.close(log)
            if entrance is not None:
                os.close(entrance)
            if confinement is not None:
                confinement.close()

    def _entrance(self) -> int | None:
        """Of its cgroup, made anew if it is gone, as after a start of the machine."""
        if self._cgroup is None:
            return None
        try:
            self._cgroup.make()
            return self._cgroup.open()
        except OSError as error:
            self._teller.say(f"its CPU and memory are not limited: {error}")
            return None

    def _prepared(self, command: list[str]) -> tuple[str, list[str], dict[str, str]]:
        """The file, the arguments and the environment of a command of the replica. Raises CannotStart,
        ValueError."""
        env = self._environment(self._cwd)
        argv = expand.expand_command(command, env)
        return process.find_executable(argv[0], path=env["PATH"], cwd=self._cwd), argv, env

    def _confinement(self, *, has_mounts: bool = False) -> Confinement:
        return Confinement(
            private=os.path.dirname(self._root),
            own=self._cwd,
            writable=[self._log],
            programs=[CHECKOUT, sys.base_prefix],
            has_mounts=has_mounts,
            shared_memory_bytes=shared_memory_of(self._record),
        )

    def _environment(self, cwd: str) -> dict[str, str]:
        """Ours, then the spec's; nothing else of the platform's own environment."""
        record, own = self._record, self._state.ports
        first, *further = self._template["ports"]
        given = {
            "PATH": record["path"],
            "HOME": cwd,
            "TMPDIR": self._temporary,
            "PORT": str(own[first]),
            **{f"PORT_{port}": str(own[port]) for port in further},
            "SPECSTREAM_DEPLOYMENT_ID": record["deployment_id"],
            "SPECSTREAM_RUN_ID": record["run_id"],
            proc.ID_VARIABLE: record["replica_id"],
        }
        return expand.expand_environment(
            given, [(entry["name"], entry["value"]) for entry in self._template["env"]]
        )

    def _note_start(self, pid: int) -> None:
        self._state.pid = pid
        self._state.start_ticks = proc.start_ticks(pid)
        if not self._save():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _note_end(self) -> None:
        status, signal = self._process.collect() if self._process else (None, None)
        self._process = None
        self._sweep()
        self._note_exit(status, signal)

    def _sweep(self) -> None:
        process.sweep(self._record["replica_id"], is_family_known=self._is_family_known)
        self._is_family_known = True

    def _note_failure(self, message: str, status: int) -> None:
        self._state.message = message
        self._note_exit(status, None)

    def _note_exit(self, status: int | None, signal: int | None) -> None:
        state, now = self._state, time.time()
        self._keeper.note(has_ended=True)
        state.pid = state.start_ticks = None
        state.last_exit = {"status": status, "signal": signal, "at": now}
        state.back_off_s = back_off.next_back_off_s(state.back_off_s, now - (state.started_at or now))
        state.restart_at = now + state.back_off_s
        self._save()

    def _restart_wait_s(self) -> float:
        state = self._state
        if state.restart_at is None or state.back_off_s is None:
            return 0.0
        # Bounded, so that a clock that was set back does not keep it waiting.
        return min(state.restart_at - time.time(), state.back_off_s)

    def _is_condemned(self) -> bool:
        order = files.read_json(f"{self._directory}/{files.RESTART}")
        return order is not None and order["attempt"] == self._state.attempt

    def _sleep(self, seconds: float) -> None:
        """Until an order comes, the process ends, or the time is over."""
        watched: list[int] = [self._control]
        if self._process is not None:
            watched.append(self._process.fileno())
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._control in ready:
            os.read(self._control, 4096)
        process.reap(besides=self._process.pid if self._process else None)

    def _when_there_is_room(self, act: Callable[[], object]) -> bool:
        """Do what needs the disk, once it is not full any more; False if the replica is to end instead."""
        while True:
            try:
                act()
            except OSError as error:
                if error.errno not in files.FULL:
                    raise
                self._teller.say(f"waiting for room on the disk: {error}")
                if os.path.exists(f"{self._directory}/{files.STOP}"):
                    return False
                if select.select([self._control], [], [], ROOM_AGAIN_S)[0]:
                    os.read(self._control, 4096)
            else:
                return True

    def _finish(self) -> None:
        order = files.read_json(f"{self._directory}/{files.STOP}") or {}
        if self._process is not None:
            self._process.end(order.get("grace_s", self._record["grace_s"]))
            self._process.collect()
        self._sweep()
        if self._cgroup is not None:
            self._cgroup.remove()
        self._keeper.note(has_ended=True)
        temporary.remove(self._temporary, self._cwd)
        try:
            os.close(self._lock())
            self._remember()
        except OSError as error:
            if error.errno not in files.FULL:
                raise
            delete(self._directory)

    def _remember(self) -> None:
        """For its last words."""
        gone = f"{self._deployment}/{files.GONE}"
        os.makedirs(gone, exist_ok=True)
        forget_oldest(gone)
        os.rename(self._directory, f"{gone}/{self._record['order']:010d}-{self._record['replica_id']}")

    def _save(self) -> bool:
        """False if it is to end instead, and nobody needs to know any more."""
        path = f"{self._directory}/{files.STATE}"
        return self._when_there_is_room(lambda: files.write_json(path, self._state.to_json()))


def take_over(directory: str) -> Shim | None:
    """The shim of this replica; None if there is one already, or nothing to look after."""
    record = files.read_json(f"{directory}/{files.RECORD}")
    if record is None:
        return None
    lock = os.open(f"{directory}/{files.SHIM_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    libc.become_subreaper()
    return Shim(directory, record)
