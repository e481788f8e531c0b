"""A cluster with real nodes: each a kubelet, and containerd that runs what it is given."""

import json
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from libs.common.cluster.local.shim import proc
from tests.support.free_ports import free_port
from tests.support.kubelab import machine
from tests.support.kubelab.control_plane import ControlPlane, is_ready
from tests.support.kubelab.examples import write_examples
from tests.support.kubelab.images import write_image
from tests.support.kubelab.nodes import simulated_nodes
from tests.support.kubelab.packages import PLUGINS
from tests.support.kubelab.parts import Part
from tests.support.polling import waited_for
from tests.support.processes import parent

NODES = ("real-0", "real-1")
"""Two, so that what leaves one has somewhere to go."""

TAINT = "kwok"
"""Of the simulated nodes beside it: what is to be real tolerates nothing."""

PAUSE = "kubelab.local/pause:1"
BUSYBOX = "kubelab.local/busybox:1"
"""Has a shell with everything that busybox has, under `/bin/busybox`."""


class RealCluster:
    """Changes the machine it is on, until `stop`: see `machine`. nodes: their names."""

    def __init__(self, directory: Path, program: Path, nodes: Sequence[str] = NODES) -> None:
        self.directory = directory
        self.plane = ControlPlane(
            directory / "plane", program, host=machine.ADDRESS, nodes=simulated_nodes(taint=TAINT)
        )
        self._folder = directory / "node"
        self.nodes = [
            RealNode(name, self._folder, program, self.plane, is_first=number == 0)
            for number, name in enumerate(nodes)
        ]
        self._held: socket.socket | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.plane.kubeconfig

    def start(self) -> None:
        """Returns when each node is Ready. machine.CannotUse where this machine is not to be changed."""
        self._held = machine.prepare()
        self._folder.mkdir(parents=True)
        machine.uses(self._folder)
        self.plane.start()
        archive = self._folder / "examples.tar"
        write_examples(archive)
        for node in self.nodes:
            node.start()
            node.import_image(archive)
        archive.unlink()

    def tend(self) -> None:
        """Start what was killed again, as the machine of a kubelet does."""
        for node in self.nodes:
            if not node.kubelet.is_alive:
                node.kubelet.start()

    def stop(self) -> None:
        """Safe after a start that failed. Leaves the logs."""
        if self.plane.apiserver.is_alive:
            self._delete_pods([node.name for node in self.nodes if node.kubelet.is_alive])
        for node in self.nodes:
            node.kubelet.kill()
            node.containerd.terminate(patience_s=10)
        self.plane.stop()
        if self._held:
            machine.restore()
            self._held.close()
            self._held = None

    def _delete_pods(self, nodes: Sequence[str]) -> None:
        """So that the runtime tidies up after them itself."""
        client = self.plane.client

        def left() -> list[Any]:
            pods = client.get("/api/v1/pods")["items"]
            return [pod for pod in pods if pod["spec"].get("nodeName") in nodes]

        for pod in left():
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            client.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", grace_s=1)
        waited_for(lambda: not left(), because="pods do not end")


class RealNode:
    """A kubelet, and a runtime of its own. folder: of the cluster's nodes.

    is_first: has its pods' cgroups where a kubelet has them by itself. A second kubelet would take them for
    what is left of its own, and end them, so that one leaves the cgroups to the runtime.
    """

    def __init__(
        self, name: str, folder: Path, program: Path, plane: ControlPlane, *, is_first: bool
    ) -> None:
        self.name = name
        self.plane = plane
        self._program = program
        self._folder = folder
        self._node = folder / name
        self._is_first = is_first
        self.containerd = Part(
            f"containerd of {name}",
            ["containerd", "--config", self._node / "containerd.toml"],
            self._node / "containerd.log",
        )
        self.kubelet = Part(f"kubelet of {name}", self._kubelet_command(), self._node / "kubelet.log")

    def start(self) -> None:
        self._node.mkdir(parents=True)
        self._write_files()
        self.containerd.start()
        self.containerd.wait_until(lambda: self._ctr("version", check=False) == 0)
        self._import_images()
        self._try_container()
        self.kubelet.start()
        self.kubelet.wait_until(self._is_ready)

    def import_image(self, archive: Path) -> None:
        """What `images.write_image` wrote: no pod has to pull it."""
        self._ctr("images", "import", str(archive))

    def _try_container(self) -> None:
        """What fails here fails without Kubernetes: the machine is not one that runs containers."""
        try:
            self._ctr("run", "--rm", BUSYBOX, "trial", "/bin/busybox", "true")
        except AssertionError as error:
            raise machine.CannotUse(f"it cannot run a container: {error}") from error

    def _is_ready(self) -> bool:
        answer = self.plane.client.ask("GET", f"/api/v1/nodes/{self.name}")
        return answer.status_code == 200 and is_ready(answer.json())

    def _import_images(self) -> None:
        tree = self._node / "busybox"
        (tree / "bin").mkdir(parents=True)
        (tree / "tmp").mkdir()
        for name in ("bin/busybox", "bin/sh"):
            shutil.copy("/bin/busybox", tree / name)
        for name, entrypoint in ((PAUSE, ["/bin/busybox", "sleep", "2147483647"]), (BUSYBOX, [])):
            archive = self._node / "image.tar"
            write_image(archive, name, tree, entrypoint=entrypoint)
            self.import_image(archive)
            archive.unlink()

    def _ctr(self, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            ["ctr", "--address", self._socket, "--namespace", "k8s.io", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not (check and done.returncode), f"ctr {' '.join(arguments)}: {done.stderr}"
        return done.returncode

    @property
    def _socket(self) -> str:
        return str(self._node / "c.sock")

    def _write_files(self) -> None:
        networks = self._node / "cni"
        networks.mkdir()
        settings = _CONTAINERD.format(at=self._node, plugins=PLUGINS, pause=PAUSE)
        (self._node / "containerd.toml").write_text(settings)
        (networks / "10-kubelab.conflist").write_text(json.dumps(self._network()))
        (self._node / "kubelet.yaml").write_text(yaml.safe_dump(self._kubelet_settings()))

    def _network(self) -> dict[str, Any]:
        """No way out, no translated address: pods and the machine, on one bridge, reach each other."""
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": "10.244.0.0/24", "rangeStart": "10.244.0.10"}]],
            # Of all nodes: their pods are on one bridge.
            "dataDir": str(self._folder / "addresses"),
        }
        bridge = {"type": "bridge", "bridge": machine.BRIDGE, "hairpinMode": True, "ipam": ipam}
        return {"cniVersion": "0.4.0", "name": "kubelab", "plugins": [bridge]}

    def _kubelet_settings(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{self._socket}",
            "address": machine.ADDRESS,
            "port": free_port(),
            "healthzPort": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.plane.directory / "pki" / "front-ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "makeIPTablesUtilChains": False,
            "podLogsDir": str(self._node / "pod-logs"),
            # Of a machine that others fill too; nothing of a test is to be evicted for it.
            "evictionHard": {
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "memory.available": "100Mi",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "crashLoopBackOff": {"maxContainerRestartPeriod": "5s"},
            "nodeLeaseDurationSeconds": 20,
            **({} if self._is_first else {"cgroupsPerQOS": False, "enforceNodeAllocatable": []}),
        }

    def _kubelet_command(self) -> list[str | Path]:
        return [
            self._program,
            "kubelet",
            f"--config={self._node}/kubelet.yaml",
            f"--kubeconfig={self.plane.kubeconfig}",
            f"--hostname-override={self.name}",
            f"--node-ip={machine.ADDRESS}",
            f"--root-dir={self._node}/kubelet",
            f"--cert-dir={self._node}/kubelet-certs",
        ]


_CONTAINERD = """\
version = 2
root = "{at}/root"
state = "{at}/state"
[grpc]
address = "{at}/c.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{at}/opt"
[plugins."io.containerd.grpc.v1.cri"]
# Where the right to lower a score lacks, as in a small virtual machine, no container would start.
restrict_oom_score_adj = true
sandbox_image = "{pause}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{at}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def take_pods(client: Any) -> bool:
    """Whether each of NODES does: one that was silent or drained is avoided for a moment afterwards."""
    found = [client.get(f"/api/v1/nodes/{name}") for name in NODES]
    return all(is_ready(node) and not node["spec"].get("taints") for node in found)


def kubelet_of(node: str) -> int:
    """Its process, which the cluster of the tests has started on this machine."""
    mark = f"--hostname-override={node}".encode()
    found = []
    for pid in proc.pids():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if mark in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
    # What it has just forked is called as it is, until it runs a program of its own.
    (kubelet,) = [pid for pid in found if parent(pid) not in {None, *found}]
    return kubelet
