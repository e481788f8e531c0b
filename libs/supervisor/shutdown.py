"""Stopping a platform, from what is found alive: the same for a supervisor that ends and for `down` alone."""

import asyncio
import signal

from libs.supervisor import processes, replicas
from libs.supervisor.console import Console
from libs.supervisor.errors import CannotStop
from libs.supervisor.home import Home
from libs.supervisor.processes import Living, Process
from libs.supervisor.programs import STOP_ORDER

_AFTER_KILL_S = 60.0
"""For what ends in vain: a killed process that waits for a slow disk ends when the disk has answered."""


async def stop_everything(
    home: Home, console: Console, *, grace_seconds: float, hurry: asyncio.Event
) -> None:
    """Services first, then the replicas, Envoy, and NATS last; returns when nothing of the home is left.

    Each gets SIGTERM, and SIGKILL after the grace period or as soon as `hurry` is set.
    Raises CannotStop naming what would not end.
    """
    services, *rest = STOP_ORDER
    await _stop_programs(services, home, console, grace_seconds=grace_seconds, hurry=hurry)
    await _stop_replicas(home, console, grace_seconds=grace_seconds, hurry=hurry)
    for names in rest:
        await _stop_programs(names, home, console, grace_seconds=grace_seconds, hurry=hurry)
    # What a program started and left behind, or what was once run under a name that is no longer known; and
    # programs that were only being started before. One of those may have started something until it ended.
    ended = set[int]()
    while left := tuple(process for process in processes.living(home) if process.pid not in ended):
        await stop(left, home, grace_seconds=grace_seconds, hurry=hurry)
        ended |= {process.pid for process in left}
    remaining = {f"{process.name} (pid {process.pid})" for process in processes.living(home)}
    remaining |= {f"a replica's process (pid {pid})" for pid in replicas.left(home)}
    if remaining:
        raise CannotStop("still running: " + ", ".join(sorted(remaining)))


async def stop(found: tuple[Living, ...], home: Home, *, grace_seconds: float, hurry: asyncio.Event) -> None:
    """End these processes together and wait for all of them."""
    held = [process for each in found if (process := processes.adopt(each, home)) is not None]
    try:
        await asyncio.gather(*(_end(process, grace_seconds=grace_seconds, hurry=hurry) for process in held))
    finally:
        for process in held:
            process.close()
    for each in found:
        if each.is_program:
            home.pid(each.name).unlink(missing_ok=True)


async def _stop_programs(
    names: tuple[str, ...], home: Home, console: Console, *, grace_seconds: float, hurry: asyncio.Event
) -> None:
    found = tuple(
        process for process in processes.living(home) if process.is_program and process.name in names
    )
    if found:
        console.say("stopping " + ", ".join(process.name for process in found))
    await stop(found, home, grace_seconds=grace_seconds, hurry=hurry)
    for name in names:
        home.pid(name).unlink(missing_ok=True)


async def _stop_replicas(home: Home, console: Console, *, grace_seconds: float, hurry: asyncio.Event) -> None:
    if replicas.left(home):
        console.say("stopping replicas")
    patient = asyncio.ensure_future(replicas.stop(home, grace_seconds=grace_seconds))
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait({patient, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not patient.done():
        patient.cancel()
        await asyncio.gather(patient, return_exceptions=True)
        await replicas.stop(home, grace_seconds=0.0)
    else:
        await patient


async def _end(process: Process, *, grace_seconds: float, hurry: asyncio.Event) -> None:
    over = asyncio.ensure_future(process.ended())
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        process.send(signal.SIGTERM)
        await asyncio.wait({over, hurried}, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        if not over.done():
            process.send(signal.SIGKILL)
        await asyncio.wait({over}, timeout=_AFTER_KILL_S)
    finally:
        for task in (over, hurried):
            task.cancel()
        await asyncio.gather(over, hurried, return_exceptions=True)
