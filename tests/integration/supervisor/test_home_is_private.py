"""The home is for its owner alone, whatever it was before; its logs stay bounded, whoever supervises."""

import asyncio
import re
from pathlib import Path

from libs.supervisor.log_rotation import LIMIT
from tests.support.open_to_others import open_to_others
from tests.support.platform_process import PROGRAMS
from tests.support.polling import eventually
from tests.support.security_page import table


def umask_of(pid: int) -> int:
    found = re.search(r"^Umask:\t(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1], 8)


async def test_an_open_home_is_closed_but_what_replicas_work_with_is_left_alone(make_platform):
    platform = make_platform()
    before = {
        "nats/api.txt": 0o644,
        "nats/jetstream/$G/streams/EVENTS/msgs/1.bak": 0o640,
        "api/read.db.old": 0o666,
        "logs/envoy.log": 0o644,
        "replicas/beside/r1/record.json": 0o644,
        "replicas/beside/r1/cwd/serve": 0o755,
        "anything.jsonl": 0o604,
    }
    for name, mode in before.items():
        path = platform.home / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.touch()
        path.chmod(mode)
    platform.home.chmod(0o755)
    working = platform.home / "replicas/beside/r1/cwd"
    assert len(open_to_others(platform.home)) > len(before)
    await platform.start_and_wait()
    assert open_to_others(platform.home) == {working / "serve": "0o755"}
    assert {umask_of(platform.pid(program)) for program in (*PROGRAMS, "supervisor")} == {0o077}


async def test_the_reference_says_who_reads_and_writes_each_file(platform):
    told = table("Every file")

    def is_told(path: Path) -> bool:
        name = str(path.relative_to(platform.home))
        is_on_the_way = path.is_dir() and any(other.startswith(f"{name}/") for other in told)
        return is_on_the_way or any(name == other or name.startswith(f"{other}/") for other in told)

    found = [path for pattern in ("*", "*/*") for path in platform.home.glob(pattern)]
    assert platform.home / "nats" / "monitor.nk" in found
    assert [path for path in found if not is_told(path)] == []


async def test_the_log_of_each_program_is_bounded_also_after_adoption(platform):
    async def grow_and_see(program: str) -> None:
        path = platform.home / "logs" / f"{program}.log"
        rotated = path.with_name(f"{path.name}.1")
        rotated.unlink(missing_ok=True)
        with path.open("ab") as log:
            log.write(b"x" * LIMIT)
        await eventually(rotated.exists)
        await eventually(lambda: path.stat().st_size < LIMIT // 2)
        assert rotated.stat().st_size >= LIMIT // 2

    before = platform.pids()
    await asyncio.gather(*map(grow_and_see, ("nats", "envoy", "health", "supervisor")))
    platform.send("supervisor")
    await platform.start_and_wait()
    assert platform.pids() == before
    await grow_and_see("nats")
