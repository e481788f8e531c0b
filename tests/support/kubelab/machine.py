"""What a kubelet and a container runtime change on the machine, and how it is put back.

Written down before the first of it is done, so that whoever comes next can put back what a killed run left.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.support.kubelab import packages
from tests.support.polling import waited_for

RECORD = Path("/var/lib/specstream-kubelab")
"""Of the run that uses the machine now, or did not put it back."""

_LOCK = "\0specstream-kubelab-node"
"""A name that one process at a time can have, and loses with its end: there is one `/var/lib/kubelet`."""

BRIDGE = "kubelab0"
ADDRESS = "10.244.0.1"
"""Of the machine on the bridge, where the cluster listens: only pods and the machine itself reach it."""

_SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
)
_FOLDERS = ("/var/lib/kubelet", "/var/lib/cni", "/run/containerd", "/var/log/containers", "/var/log/pods")
"""Which kubelet, runtime and plugins make wherever they are told to work."""

_CGROUPS = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_PODS = ("kubepods", "k8s.io")
"""Where a kubelet puts its pods, and where containerd puts those of a kubelet that leaves that to it."""


class CannotUse(Exception):
    """This machine is not to be changed, and why."""


class InUse(CannotUse):
    """Somebody else has a node on it now."""


def prepare() -> socket.socket:
    """Everything a real node needs of this machine, which is the caller's while what is returned is open.

    CannotUse where it has a node or containers already.
    """
    if os.geteuid() != 0:
        raise CannotUse("a real node needs root")
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(_LOCK)
    except OSError:
        held.close()
        raise InUse("another run has its node on this machine") from None
    try:
        _prepare()
    except packages.CannotInstall as error:
        held.close()
        raise CannotUse(str(error)) from error
    except BaseException:
        held.close()
        raise
    return held


def _prepare() -> None:
    restore()
    if there := [name for name in _FOLDERS if Path(name).exists()]:
        raise CannotUse(f"containers run on this machine already: it has {', '.join(there)}")
    if there := _pod_cgroups():
        raise CannotUse(f"a kubelet runs on this machine already: it has {there[0]}")
    if lacking := _lacking_controllers():
        raise CannotUse(f"it holds no container to its limits: no cgroup controller {', '.join(lacking)}")
    RECORD.mkdir(parents=True)
    before = {name: (Path("/proc/sys") / name).read_text().strip() for name in _SYSCTLS}
    (RECORD / "sysctls.json").write_text(json.dumps(before))
    packages.install(RECORD / "packages")
    try:
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{ADDRESS}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
    except subprocess.CalledProcessError as error:
        raise CannotUse(f"it gives no bridge for pods: {error.stderr.decode().strip()}") from error


def _lacking_controllers() -> list[str]:
    """Those that a kubelet cannot do without, in which a group can be made."""
    one_for_all = _CGROUPS / "cgroup.controllers"
    if one_for_all.exists():
        try:
            has = one_for_all.read_text().split()
            (_CGROUPS / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _CONTROLLERS))
        except OSError:
            has = (_CGROUPS / "cgroup.subtree_control").read_text().split()
        return [name for name in _CONTROLLERS if name not in has]
    return [name for name in _CONTROLLERS if not _can_have_group(_CGROUPS / name)]


def _can_have_group(hierarchy: Path) -> bool:
    group = hierarchy / "specstream-trial"
    try:
        group.mkdir()
        group.rmdir()
    except OSError:
        return False
    return (hierarchy / "cgroup.procs").exists()


def uses(directory: Path) -> None:
    """Where mounts and processes of this run are, for whoever has to end them."""
    (RECORD / "directory").write_text(str(directory))


def restore() -> None:
    """As `prepare` found it. Safe to be asked for twice, and after a run that was killed at any point."""
    if not RECORD.exists():
        return
    directory = (RECORD / "directory").read_text() if (RECORD / "directory").exists() else None
    if directory:
        _end_processes(directory)
    _unmount([*_FOLDERS, *([directory] if directory else [])])
    _remove_namespaces()
    _run("ip", "link", "del", BRIDGE, check=False)
    for cgroup in _pod_cgroups():
        _remove_cgroup(cgroup)
    for name in _FOLDERS:
        shutil.rmtree(name, ignore_errors=True)
    before = RECORD / "sysctls.json"
    if before.exists():
        for name, value in json.loads(before.read_text()).items():
            (Path("/proc/sys") / name).write_text(value)
    packages.remove(RECORD / "packages")
    shutil.rmtree(RECORD)


def _end_processes(directory: str) -> None:
    """Containers, their shims, the runtime and the kubelet: what is in a pod's cgroup or names the folder."""

    def ours() -> list[int]:
        contained = {pid for cgroup in _pod_cgroups() for pid in _pids(cgroup)}
        return sorted(contained | {pid for pid in _all_pids() if _names(pid, directory)})

    def ended() -> bool:
        for pid in ours():
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        return not ours()

    waited_for(ended, every_s=0.1, because=lambda: f"these do not end: {ours()}")


def _names(pid: int, directory: str) -> bool:
    """The shims name the runtime's socket, which is in the folder; the tests name a folder above it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return pid != os.getpid() and any(f"{directory}/".encode() in word for word in words)


def _pids(cgroup: Path) -> Iterable[int]:
    for listed in [*cgroup.rglob("cgroup.procs"), cgroup / "cgroup.procs"]:
        with suppress(OSError):
            yield from (int(line) for line in listed.read_text().split())


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _pod_cgroups() -> list[Path]:
    """One in each hierarchy, or the one there is."""
    found = (path for name in _PODS for path in [_CGROUPS / name, *_CGROUPS.glob(f"*/{name}")])
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def _remove_cgroup(top: Path) -> None:
    inner = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))

    def gone() -> bool:
        for cgroup in [*inner, top]:
            with suppress(OSError):
                cgroup.rmdir()
        return not top.exists()

    waited_for(gone, every_s=0.1, because=f"{top} is in use")


def _unmount(folders: Iterable[str]) -> None:
    """What was mounted last goes first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed(points):
        if any(point == folder or point.startswith(f"{folder}/") for folder in folders):
            _run("umount", "--lazy", point, check=False)


def _remove_namespaces() -> None:
    folder = Path("/run/netns")
    for namespace in folder.glob("cni-*"):
        _run("umount", "--lazy", str(namespace), check=False)
        namespace.unlink(missing_ok=True)
    with suppress(OSError):
        # Where somebody has other ones in it, it is theirs.
        folder.rmdir()


def _run(*command: str, check: bool = True) -> None:
    subprocess.run(command, check=check, capture_output=True, timeout=60)
