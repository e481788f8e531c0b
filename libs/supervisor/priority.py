"""Who gets a processor first where there are not enough: the programs that callers wait for.

Linux shares the processors among sessions before it shares them among processes (`sched_autogroup`), where no
control groups do that. Each replica is a session of its own, so while hundreds start, the api would get one
part in hundreds.
"""

from pathlib import Path
from typing import Final

NICE: Final = -10
"""Of the session; nine times the weight of another one."""


def put_first(pid: int) -> None:
    """The session of this process. Without privileges, and where Linux does not share so, nothing changes."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(NICE))
    except OSError:
        return
