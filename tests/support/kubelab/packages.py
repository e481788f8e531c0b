"""Programs of Debian that a real node needs: installed where they lack, and taken away again."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.polling import waited_for

NEEDED = ("containerd", "runc", "containernetworking-plugins", "busybox-static", "iproute2")
PLUGINS = Path("/usr/lib/cni")
_PROGRAMS = ("containerd", "ctr", "runc", "/bin/busybox", "ip")
_NO_SERVICES = Path("/usr/sbin/policy-rc.d")

_OPTIONS = (
    "-oDPkg::Lock::Timeout=300",
    # They are gone again before a power cut could matter, and nobody looks up how to use them.
    "-oDPkg::Options::=--force-unsafe-io",
    "-oDPkg::Options::=--path-exclude=/usr/share/man/*",
)


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
    if not _NO_SERVICES.exists():
        # Or containerd would be started as a service, beside the one that is started here.
        _marks_no_services(record).touch()
        _NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
        _NO_SERVICES.chmod(0o755)
    try:
        _apt("install", "-y", "-qq", "--no-install-recommends", *NEEDED)
    finally:
        _let_services_start(record)


def remove(record: Path) -> None:
    """What `install` wrote down, and nothing else. Safe to be asked for twice, and after an installation that
    was killed in the middle."""
    if not record.exists():
        return
    if names := record.read_text().split():
        _finish_interrupted()
        _apt("purge", "-y", "-qq", *names)
    _let_services_start(record)
    record.unlink()


def _finish_interrupted() -> None:
    """What was installing them may still be at it, or have left them half done, which apt-get refuses."""
    last: list[CannotInstall] = []

    def is_done() -> bool:
        try:
            _run("dpkg", "--configure", "-a")
        except CannotInstall as error:
            last[:] = [error]
            return False
        return True

    try:
        waited_for(is_done, within_s=300, every_s=1)
    except AssertionError:
        raise last[0] from None


def _marks_no_services(record: Path) -> Path:
    """There while the file that keeps services from starting is ours."""
    return record.with_name(f"{record.name}-no-services")


def _let_services_start(record: Path) -> None:
    if (ours := _marks_no_services(record)).exists():
        _NO_SERVICES.unlink(missing_ok=True)
        ours.unlink()


def _apt(*arguments: str) -> str:
    return _run("apt-get", *_OPTIONS, *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise CannotInstall(f"`{' '.join(command)}` failed: {done.stderr.strip()[-1000:]}")
    return done.stdout
