"""Starting the shim of a replica, so that it outlives whoever started it."""

import subprocess
from pathlib import Path

from libs.common.cluster.local.shim import main as shim
from libs.common.errors import ClusterUnavailable

_STARTED_WITHIN_S = 30.0


def launch(python: str, directory: Path) -> None:
    """Returns when the replica has a shim, whoever started it, or is gone. Blocks the thread, some 20 ms.

    Raises ClusterUnavailable; what the shim has to say about it is in `shim.err` beside the record.
    """
    try:
        errors = (directory / "shim.err").open("ab")
    except FileNotFoundError:
        return
    with errors:
        starter = subprocess.Popen(
            [python, "-S", "-E", "-s", "-I", shim.__file__, str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={},
            cwd="/",
            start_new_session=True,
        )
    try:
        status = starter.wait(_STARTED_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        starter.kill()
        starter.wait()
        raise ClusterUnavailable(f"no shim for replica {directory.name} in {_STARTED_WITHIN_S} s") from error
    if status not in (0, shim.ALREADY_THERE):
        raise ClusterUnavailable(
            f"the shim of replica {directory.name} ended with {status}: see {directory}/shim.err"
        )
