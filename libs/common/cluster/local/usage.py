"""What the replicas of this machine use, from /proc, cheaply enough for a thousand of them.

A replica's processes are its first one, what is in its session, what its shim has adopted, what carries its
id in its environment where that shim was killed, and what descends from them. Of each the kernel counts the
processor time, its ended children's included; the shim has collected those that ended as orphans. One that
has ended and that nobody has collected yet still has its own.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from libs.common.clock import Clock, Ticks, monotonic
from libs.common.cluster.local.record import Record
from libs.common.cluster.local.shim import proc
from libs.common.cluster.usage import Used, UsedGpu
from libs.common.gpus.port import GpuProcess, Gpus

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_READ_AT_ONCE = 100
"""Processes, or replicas, that are looked at before others have their turn: about a millisecond."""
SHORTEST_S = 0.5
"""A window that is shorter says little, since the kernel counts in hundredths of a second."""


class Running(NamedTuple):
    """A replica that has a process, as its files say."""

    record: Record
    directory: Path
    attempt: int
    pid: int
    start_ticks: int | None


class _Process(NamedTuple):
    has_ended: bool
    """And waits for its parent to collect it."""
    parent: int
    session: int
    start_ticks: int
    used: int
    """Clock ticks of itself."""
    used_by_ended: int
    """Of its children that have ended and that it has collected."""
    read_from: float
    read_until: float
    """Before and after the kernel was asked for these."""


@dataclass(frozen=True, slots=True)
class _Seen:
    attempt: int
    pid: int
    used: int
    missing: int
    """Clock ticks that the look before had counted and this one has not."""
    read_from: float
    read_until: float
    told: Used


@dataclass(slots=True)
class _Table:
    """Every process of the machine at one look."""

    processes: dict[int, _Process] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    sessions: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


class Meter:
    """Remembers the look before, for the difference. gpus: None where nobody asks for them."""

    def __init__(
        self,
        clock: Clock,
        *,
        ticks: Ticks = monotonic,
        gpus: Gpus | None = None,
        read_memory: Callable[[Iterable[int]], int | None] | None = None,
    ) -> None:
        self._clock = clock
        self._ticks = ticks
        self._read_memory = read_memory or memory_of
        self._gpus = gpus
        self._on_gpus: Sequence[GpuProcess] = ()
        self._gpus_seen_at: float | None = None
        self._seen: dict[str, _Seen] = {}
        self._ids: dict[tuple[int, int], str | None] = {}
        """By process (and its start): the id in its environment, of those that descend from no replica."""
        self._shims: dict[str, tuple[int, int | None]] = {}
        """By replica: its first process, and its shim, where that is the parent of it."""
        self._machine = (float(os.cpu_count() or 1), _memory_of_machine())

    async def measure(self, running: Iterable[Running]) -> list[Used]:
        replicas = list(running)
        await self._read_gpus()
        table = await _read_processes(self._ticks)
        trees = self._trees(replicas, table)
        memory = await asyncio.to_thread(self._memory_of_each, _living(trees, table))
        found = []
        for number, replica in enumerate(replicas):
            if number % _READ_AT_ONCE == _READ_AT_ONCE - 1:
                await asyncio.sleep(0)
            if tree := trees.get(replica.record.replica_id):
                found.append(self._measure(replica, tree, table, memory[replica.record.replica_id]))
        measured = {used.replica_id for used in found}
        self._seen = {each: seen for each, seen in self._seen.items() if each in measured}
        self._shims = {each: shim for each, shim in self._shims.items() if each in measured}
        return found

    async def _read_gpus(self) -> None:
        """Not so soon again that nobody has used them since: then what is known stays."""
        now = self._ticks()
        is_new = self._gpus_seen_at is None or now - self._gpus_seen_at >= SHORTEST_S
        if self._gpus is not None and is_new:
            self._gpus_seen_at = now
            self._on_gpus = await asyncio.to_thread(self._gpus.processes)

    def _memory_of_each(self, trees: Mapping[str, set[int]]) -> dict[str, int | None]:
        """By replica. A process may have so much mapped that the kernel needs a second to go over it."""
        return {replica_id: self._read_memory(tree) for replica_id, tree in trees.items()}

    def _measure(self, replica: Running, tree: set[int], table: _Table, memory_bytes: int | None) -> Used:
        """The window begins before the first of the counters was read at the look before, and ends after the
        last one was at this look: however long anything takes, no more is told than can have been used."""
        record, shim = replica.record, self._shim(replica, table)
        counted = [table.processes[pid] for pid in (tree if shim is None else {*tree, shim})]
        read_from = min(process.read_from for process in counted)
        read_until = max(process.read_until for process in counted)
        before = self._seen.get(record.replica_id)
        if before is not None and (before.attempt, before.pid) != (replica.attempt, replica.pid):
            before = None
        if before is not None and read_from - before.read_until < SHORTEST_S:
            return before.told
        used = sum(table.processes[pid].used for pid in tree)
        used += sum(process.used_by_ended for process in counted)
        window_s = read_until - before.read_from if before else 0.0
        since = used_since(before.used, before.missing, used) if before else None
        told = Used(
            deployment_id=record.deployment_id,
            replica_id=record.replica_id,
            attempt=replica.attempt,
            ended_at=self._clock().timestamp() - (self._ticks() - read_until),
            window_s=window_s if since is not None else 0.0,
            cpu_cores=since / _TICKS_PER_S / window_s if since is not None else None,
            memory_bytes=memory_bytes,
            cpus=record.cpus,
            memory_gib=record.memory_gib,
            most_cpus=self._machine[0],
            most_memory_bytes=self._machine[1],
            gpus=used_gpus(self._on_gpus, tree),
        )
        missing = max(0, before.used - used) if before else 0
        self._seen[record.replica_id] = _Seen(
            replica.attempt, replica.pid, used, missing, read_from, read_until, told
        )
        return told

    def _trees(self, replicas: list[Running], table: _Table) -> dict[str, set[int]]:
        """The processes of each replica whose first process is there."""
        trees: dict[str, set[int]] = {}
        claimed: set[int] = set()
        for replica in replicas:
            first = table.processes.get(replica.pid)
            if first is None or first.has_ended or replica.start_ticks not in (None, first.start_ticks):
                continue
            shim = self._shim(replica, table)
            adopted = () if shim is None else table.children.get(shim, ())
            tree = _descending([replica.pid, *table.sessions.get(replica.pid, ()), *adopted], table)
            trees[replica.record.replica_id] = tree
            claimed |= tree
        strays = {pid: table.processes[pid].start_ticks for pid in table.processes.keys() - claimed}
        for pid, replica_id in self._carried(strays).items():
            if replica_id in trees:
                trees[replica_id] |= _descending([pid], table) - claimed
        return trees

    def _shim(self, replica: Running, table: _Table) -> int | None:
        """The shim that started the first process; None where another one looks after it by now."""
        first = table.processes[replica.pid]
        known = self._shims.get(replica.record.replica_id)
        if known is not None and known[0] == replica.pid and known[1] in (None, first.parent):
            return known[1]
        shown = _read(f"/proc/{first.parent}/cmdline") or b""
        is_shim = os.fsencode(replica.directory) in shown and first.parent in table.processes
        self._shims[replica.record.replica_id] = (replica.pid, first.parent if is_shim else None)
        return first.parent if is_shim else None

    def _carried(self, strays: Mapping[int, int]) -> dict[int, str]:
        """The replicas' ids in the environments of these processes; each process is asked once."""
        known = {key: self._ids[key] for key in strays.items() if key in self._ids}
        self._ids = {key: known[key] if key in known else proc.carried_id(key[0]) for key in strays.items()}
        return {pid: carried for (pid, _), carried in self._ids.items() if carried is not None}


async def _read_processes(ticks: Ticks) -> _Table:
    table = _Table()
    for number, pid in enumerate(proc.pids()):
        if number % _READ_AT_ONCE == _READ_AT_ONCE - 1:
            await asyncio.sleep(0)
        process = _process(pid, ticks)
        if process is not None:
            table.processes[pid] = process
            table.children[process.parent].append(pid)
            table.sessions[process.session].append(pid)
    return table


def _descending(pids: Iterable[int], table: _Table) -> set[int]:
    found: set[int] = set()
    waiting = [pid for pid in pids if pid in table.processes]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += table.children.get(pid, ())
    return found


def _living(trees: Mapping[str, set[int]], table: _Table) -> dict[str, set[int]]:
    """The trees without what has ended and is still counted."""
    return {
        replica_id: {pid for pid in tree if not table.processes[pid].has_ended}
        for replica_id, tree in trees.items()
    }


def used_since(before: int, missing: int, now: int) -> int | None:
    """Clock ticks that were used between two looks, by what each has counted; None where nobody knows. Pure.

    missing: what the look before had lost. The processes are not read all at once: where one ends meanwhile,
    and its parent was read before it collected that one, all that it ever used is missing, and comes back
    at the next look. What ended as the child of a process that is none of the replica's is lost for good.
    """
    used = now - before
    return None if used < 0 or 0 < missing <= used else used


def _process(pid: int, ticks: Ticks) -> _Process | None:
    """None when it is not there."""
    read_from = ticks()
    said = _read(f"/proc/{pid}/stat")
    read_until = ticks()
    fields = said.rpartition(b")")[2].split() if said else []
    if not fields or fields[0] == b"X":
        return None
    return _Process(
        has_ended=fields[0] == b"Z",
        parent=int(fields[1]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        used=int(fields[11]) + int(fields[12]),
        used_by_ended=int(fields[13]) + int(fields[14]),
        read_from=read_from,
        read_until=read_until,
    )


def used_gpus(on_gpus: Iterable[GpuProcess], tree: Container[int]) -> tuple[UsedGpu, ...]:
    """What the processes of a tree use together of each GPU, by its index. Pure."""
    by_gpu: dict[int, list[GpuProcess]] = defaultdict(list)
    for one in on_gpus:
        if one.pid in tree:
            by_gpu[one.gpu].append(one)
    return tuple(
        UsedGpu(
            gpu,
            _sum_of_known(one.utilization_percent for one in mine),
            _sum_of_known(one.memory_bytes for one in mine),
            mine[0].most_memory_bytes,
        )
        for gpu, mine in sorted(by_gpu.items())
    )


def _sum_of_known(numbers: Iterable[float | None]) -> float | None:
    """None where none of them is known."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def memory_of(tree: Iterable[int]) -> int | None:
    """Bytes of anonymous and shared memory. What several processes share counts once, where the kernel tells
    us of it; None when none of them is there any more."""
    pids = list(tree)
    parts = [_kib(pid, len(pids) > 1) for pid in pids]
    known = [part for part in parts if part is not None]
    return sum(known) * 1024 if known else None


def _kib(pid: int, is_shared: bool) -> int | None:
    """Asking for its share of what is shared costs the kernel twenty times as much as asking for all."""
    if is_shared and (said := _read(f"/proc/{pid}/smaps_rollup")):
        return _sum_of(said, (b"Pss_Anon:", b"Pss_Shmem:"))
    return _sum_of(_read(f"/proc/{pid}/status") or b"", (b"RssAnon:", b"RssShmem:"))


def _sum_of(said: bytes, names: tuple[bytes, ...]) -> int | None:
    lines = [line for line in said.splitlines() if line.startswith(names)]
    return sum(int(line.split()[1]) for line in lines) if lines else None


def _memory_of_machine() -> float | None:
    kib = _sum_of(_read("/proc/meminfo") or b"", (b"MemTotal:",))
    return None if kib is None else kib * 1024.0


def _read(path: str) -> bytes | None:
    """A file of /proc, at once; None when the process is gone, or nobody's business. `open` costs twice as
    much."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    try:
        return os.read(descriptor, 16_384)
    except (ProcessLookupError, PermissionError):
        return None
    finally:
        os.close(descriptor)
