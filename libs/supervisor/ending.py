"""`down`: what the command line calls. It needs little of what `up` does, and starts in half the time."""

import asyncio
import signal

from libs.supervisor import processes, readiness, replicas, shutdown
from libs.supervisor.console import Console
from libs.supervisor.errors import CannotStop, told
from libs.supervisor.home import Home, lock_holder, locked
from libs.supervisor.settings import SupervisorSettings


def down(settings: SupervisorSettings) -> int:
    """Stop everything of the home, replicas too, whether or not its supervisor lives.

    0 when nothing is left; 1, with the reason on stderr, when something would not end.
    """
    home = Home(settings.home)
    if not home.lock.exists():
        print(f"nothing is running in {home.path}")
        return 0
    try:
        asyncio.run(_down(home, settings))
    except CannotStop as error:
        return told(error)
    return 0


async def _down(home: Home, settings: SupervisorSettings) -> None:
    console = Console(home)
    hurry = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hurry.set)
    was_running = False
    while True:
        with locked(home) as is_ours:
            if is_ours:
                was_running = was_running or bool(processes.living(home) or replicas.left(home))
                await shutdown.stop_everything(
                    home, console, grace_seconds=settings.grace_seconds, hurry=hurry
                )
                console.say("stopped" if was_running else f"nothing is running in {home.path}")
                return
        was_running = True
        await _tell_supervisor(home, hurry)


async def _tell_supervisor(home: Home, hurry: asyncio.Event) -> None:
    """Have the living supervisor stop everything, and wait for its end."""
    pid = lock_holder(home)
    if pid is None:  # it just ended, or has not written its pid yet
        await asyncio.sleep(readiness.INTERVAL_S)
        return
    supervisor = processes.hold(pid, "supervisor")
    if supervisor is None:
        return
    over = asyncio.ensure_future(supervisor.ended())
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        if lock_holder(home) == pid:
            supervisor.send(signal.SIGTERM)
        await asyncio.wait({over, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not over.done():
            supervisor.send(signal.SIGTERM)
        await over
    finally:
        hurried.cancel()
        await asyncio.gather(hurried, return_exceptions=True)
        supervisor.close()
