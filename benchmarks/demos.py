"""How long the demo of scaling takes, from its start until its platform is gone again.

Half a minute of it is load that has to be recorded before a policy can be tried on it.
"""

import asyncio
import sys
from time import perf_counter

from benchmarks.figure import AtMost, Figure
from libs.supervisor.settings import ROOT

MODULE = "libs.cli.demo.scaling"
AIM = AtMost(120)


async def seconds_of(module: str) -> float:
    """Raises RuntimeError where the demo finds something that is not as it tells."""
    start = perf_counter()
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await demo.communicate()
    if demo.returncode:
        raise RuntimeError(f"{module} failed:\n{told.decode(errors='replace')}")
    return perf_counter() - start


async def measure(*, quick: bool = False) -> list[Figure]:  # noqa: ARG001 - a story has its length
    return [Figure("make demo-scaling", await seconds_of(MODULE), "s", aim=AIM)]
