"""Programs of Debian that a real node needs: installed where they lack, and taken away again."""

import os
import shutil
import subprocess
from pathlib import Path

NEEDED = ("containerd", "runc", "containernetworking-plugins", "busybox-static")
PLUGINS = Path("/usr/lib/cni")
_PROGRAMS = ("containerd", "ctr", "runc", "/bin/busybox")
_NO_SERVICES = Path("/usr/sbin/policy-rc.d")


class CannotInstall(Exception):
    """Says in one sentence what is in the way."""


def missing() -> list[str]:
    """Programs that are not there."""
    absent = [name for name in _PROGRAMS if not shutil.which(name)]
    return absent if (PLUGINS / "bridge").exists() else [*absent, str(PLUGINS / "bridge")]


def install(record: Path) -> None:
    """What lacks, and what that needs. record: names what is installed, for `remove`; written before."""
    if not missing():
        record.write_text("")
        return
    if not shutil.which("apt-get"):
        raise CannotInstall(f"{', '.join(missing())} not found, and no apt-get to install them")
    _apt("update", "-qq")
    planned = _apt("install", "--simulate", "--no-install-recommends", *NEEDED).splitlines()
    if removed := [line for line in planned if line.startswith("Remv ")]:
        # Such as the containerd of an engine that somebody uses.
        raise CannotInstall(f"apt-get would remove what is there: {', '.join(removed)}")
    record.write_text("\n".join(line.split()[1] for line in planned if line.startswith("Inst ")))
    ours = not _NO_SERVICES.exists()
    if ours:
        # Or containerd would be started as a service, beside the one that is started here.
        _NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
        _NO_SERVICES.chmod(0o755)
    try:
        _apt("install", "-y", "-qq", "--no-install-recommends", *NEEDED)
    finally:
        if ours:
            _NO_SERVICES.unlink()


def remove(record: Path) -> None:
    """What `install` wrote down, and nothing else. Safe to be asked for twice."""
    if not record.exists():
        return
    if names := record.read_text().split():
        _apt("purge", "-y", "-qq", *names)
    record.unlink()


def _apt(*arguments: str) -> str:
    done = subprocess.run(
        ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise CannotInstall(f"`apt-get {arguments[0]}` failed: {done.stderr.strip()[-1000:]}")
    return done.stdout
