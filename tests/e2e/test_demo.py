"""The demo is the first thing that a newcomer runs: all of its steps work, and lose no call."""

import asyncio
import re
import sys

from libs.supervisor.settings import ROOT

ENDS_WITHIN_S = 800
"""Before the test itself would be ended, so that what it said is told."""


async def told_by(module: str, *arguments: str) -> str:
    """All that a demo says; it ends well."""
    demo = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(demo.communicate(), ENDS_WITHIN_S)
    finally:
        if demo.returncode is None:
            demo.kill()
    told = out.decode()
    assert demo.returncode == 0, told
    return told


def none_failed(told: str) -> None:
    counted = re.findall(r"calls: (\d+), failed: (\d+)", told)
    assert len(counted) >= 3, told
    assert all(int(calls) > 0 and failed == "0" for calls, failed in counted), told


async def test_every_step_of_the_demo_works_and_no_call_fails():
    none_failed(await told_by("libs.cli.demo"))


async def test_the_demo_of_scaling_goes_up_and_down_and_says_why():
    told = await told_by("libs.cli.demo.scaling")
    assert re.search(r"[34] in force, [34] ready", told), told
    assert re.search(r"cpu \d+ % of 50 → ", told), told
    assert re.search(r"replica-hours +[0-9.]+ +[0-9.]+", told), told
    assert re.search(r"most replicas +[2-4] +[1-4]", told), told
    assert re.search(r"load .*0\.\d+", told), told
    ((calls, failed),) = re.findall(r"calls: (\d+), failed: (\d+)", told)
    assert (int(calls) > 0, failed) == (True, "0")
    assert re.fullmatch(r"demo-scaling: ok in \d+ s", told.strip().splitlines()[-1])
