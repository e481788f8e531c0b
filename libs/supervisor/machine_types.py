"""The operator's machine types: checked when the platform starts, and kept in the home as they were then.

The services read the home's copy, so that one of them starts again whatever became of the operator's file.
"""

import subprocess
from pathlib import Path

from libs.supervisor.errors import CannotStart
from libs.supervisor.home import Home, write_private

CHECK = "libs.common.machine_types"


def take(path: Path | None, home: Home, *, python: str, root: Path) -> bytes:
    """Take over the list at `path`, or go back to the bundled one; its content.

    Raises CannotStart with all that is wrong with it.
    """
    if path is None:
        home.machine_types.unlink(missing_ok=True)
        return b""
    # By a process of its own: what reads specs is large, and the supervisor stays.
    check = subprocess.run(
        [python, "-m", CHECK, str(path)], cwd=root, capture_output=True, text=True, check=False
    )
    if check.returncode != 0:
        raise CannotStart(check.stderr.strip())
    content = path.read_bytes()
    write_private(home.machine_types, content.decode("utf-8-sig"))
    return content
