"""A cluster in the foreground, until Ctrl-C; prints `kubeconfig: PATH` when it is up."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from threading import Event

from tests.support.kubelab import binary
from tests.support.kubelab.control_plane import ControlPlane
from tests.support.kubelab.parts import DidNotStart


def main() -> None:
    parser = argparse.ArgumentParser(prog="kubelab", description=__doc__)
    parser.add_argument("--directory", type=Path, help="where it writes; a new folder (a temporary one)")
    given = parser.parse_args().directory
    directory = given or Path(tempfile.mkdtemp(prefix="kubelab-"))
    if directory.exists() and any(directory.iterdir()):
        sys.exit(f"kubelab: --directory {directory} is not empty: name a new folder")
    asked_to_end = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    if not binary.path().exists():
        print("kubelab: building it, once; some minutes", file=sys.stderr)
    try:
        plane = ControlPlane(directory, binary.ensure())
    except binary.CannotBuild as error:
        sys.exit(f"kubelab: {error}")
    try:
        plane.start()
        print(f"kubeconfig: {plane.kubeconfig}", flush=True)
        print(f"kubectl: {_kubectl(plane)} --kubeconfig {plane.kubeconfig}", flush=True)
        while not asked_to_end.wait(1):
            if ended := [part.name for part in plane.parts if not part.is_alive]:
                sys.exit(f"kubelab: {', '.join(ended)} ended; see {directory / 'logs'}")
    except DidNotStart as error:
        sys.exit(f"kubelab: {error}")
    finally:
        plane.stop()
    if not given:
        shutil.rmtree(directory)


def _kubectl(plane: ControlPlane) -> Path:
    """The program under the name that makes it be kubectl."""
    link = plane.directory / "kubectl"
    link.symlink_to(plane.program)
    return link


if __name__ == "__main__":
    main()
