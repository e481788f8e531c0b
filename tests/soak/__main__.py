"""The full matrix of kills, each part in each operation, again and again for as long as asked.

`python -m tests.soak --seconds 600`; `SPECSTREAM_SEED` begins a run again.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import traceback
from pathlib import Path

from libs.common.clock import monotonic
from tests.support.killing import SEED_VARIABLE, Killing, choose_seed, whole_matrix
from tests.support.live_platform import LivePlatform


async def soak(seconds: float, seed: int) -> int:
    """How many cells failed. The home of a platform that failed is kept."""
    end = monotonic() + seconds
    rng = random.Random(seed)
    done = failed = number = 0
    while done == 0 or monotonic() < end:
        number += 1
        home = Path(tempfile.mkdtemp(prefix="specstream-soak-")) / "home"
        platform = LivePlatform(home)
        failed_before = failed
        try:
            await platform.start_and_wait()
            for cell in whole_matrix(rng):
                if done and monotonic() >= end:
                    break
                began = monotonic()
                try:
                    await Killing(platform, cell, f"soak-{number}-{done}").run()
                    await platform.verified()
                    outcome = "ok"
                except Exception:  # noqa: BLE001 - the next cell is tried all the same, and all are counted
                    failed += 1
                    outcome = f"FAILED\n{traceback.format_exc()}"
                done += 1
                print(f"{done:4}  {monotonic() - began:5.1f} s  {cell}: {outcome}", flush=True)
        finally:
            await platform.close()
        if failed > failed_before:
            print(f"its logs: {home}", flush=True)
    print(f"{done} kills, {failed} failed, {SEED_VARIABLE}={seed}")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    seconds = parser.parse_args().seconds
    seed = choose_seed()
    print(f"{SEED_VARIABLE}={seed}", flush=True)
    sys.exit(1 if asyncio.run(soak(seconds, seed)) else 0)


if __name__ == "__main__":
    main()
