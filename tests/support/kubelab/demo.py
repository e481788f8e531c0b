"""`make demo-kubernetes`: the demo where each replica is a pod, on a real Kubernetes on this machine.

Needs root on Debian, and Go once; puts the machine back as it was. `--kubeconfig` takes the real nodes of a
lab that runs already.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libs.cli.demo.screen import Screen
from libs.cli.demo.story import Story
from libs.cli.demo.telling import told
from tests.support.kubelab import binary
from tests.support.kubelab.client import Client
from tests.support.kubelab.examples import EXAMPLES
from tests.support.kubelab.fixtures import fresh_namespace
from tests.support.kubelab.machine import CannotUse
from tests.support.kubelab.parts import DidNotStart
from tests.support.kubelab.real_node import RealCluster
from tests.support.kubernetes_world import prepare

MACHINE_TYPES = "- {name: C4, cpus: 1, memoryGib: 1, requests: {cpus: 0.05, memoryGib: 0.1}}\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo-kubernetes", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="of a lab with real nodes that runs (one of its own)")
    given = parser.parse_args().kubeconfig
    # As Ctrl-C: the machine is put back all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    screen = Screen("demo-kubernetes")
    try:
        with _cluster(screen, given) as kubeconfig:
            return tell(screen, kubeconfig)
    except (binary.CannotBuild, CannotUse, DidNotStart) as error:
        screen.failure(f"it needs a real Kubernetes, as root on Debian: {error}", ())
        return 1


def tell(screen: Screen, kubeconfig: Path) -> int:
    client = Client.of_kubeconfig(kubeconfig)
    try:
        with fresh_namespace(client) as namespace:
            prepare(client, namespace)
            return told(
                screen,
                "start the platform in a temporary home; its replicas will be pods",
                lambda platform: Story(platform, screen, image=EXAMPLES).tell(),
                machine_types=MACHINE_TYPES,
                SPECSTREAM_CLUSTER="kubernetes",
                SPECSTREAM_KUBECONFIG=str(kubeconfig),
                SPECSTREAM_KUBE_NAMESPACE=namespace,
            )
    finally:
        client.close()


@contextmanager
def _cluster(screen: Screen, given: Path | None) -> Iterator[Path]:
    if given:
        yield given
        return
    if not binary.path().exists():
        screen.step("build Kubernetes from its source, once: some minutes")
    program = binary.ensure()
    screen.step("start a Kubernetes on this machine: a control plane, and two nodes with containerd")
    # The kubelet has sockets below it, and their paths have 108 characters at most.
    with tempfile.TemporaryDirectory(prefix="kubelab-", ignore_cleanup_errors=True) as directory:
        cluster = RealCluster(Path(directory), program)
        try:
            cluster.start()
            screen.fact(f"nodes {', '.join(node.name for node in cluster.nodes)} are ready")
            yield cluster.kubeconfig
        finally:
            screen.step("put the machine back as it was")
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
