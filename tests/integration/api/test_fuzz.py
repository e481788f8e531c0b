"""The cases of `fuzz.py` are made while it is collected, which takes longer than to ask them all. So they are
not collected with the others, which each worker does, but once, by a process of their own."""

import asyncio
import sys
from pathlib import Path

from tests.support.platform_process import ROOT

CASES = Path(__file__).with_name("fuzz.py")


async def test_no_input_is_a_server_error(tmp_path):
    options = ("-q", "--basetemp", str(tmp_path / "fuzz"), "-p", "no:cacheprovider")
    fuzzing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *options, str(CASES)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await fuzzing.communicate()
    assert fuzzing.returncode == 0, told.decode()
