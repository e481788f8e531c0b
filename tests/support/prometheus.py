"""A real Prometheus: the machine's own, or Debian's package, unpacked and not installed."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("prometheus", "promtool")


@dataclass(frozen=True)
class Prometheus:
    server: str
    tool: str


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Prometheus:
    """Skips where there is none to be had, saying why."""
    found = [shutil.which(program) for program in PROGRAMS]
    if all(found):
        return Prometheus(*map(str, found))
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        pytest.skip("no prometheus and promtool here, and no apt-get to fetch Debian's package")
    folder = tmp_path_factory.mktemp("prometheus")
    fetched = _run(["apt-get", "download", "prometheus"], folder)
    packages = list(folder.glob("prometheus_*.deb"))
    if fetched.returncode or not packages:
        pytest.skip(f"no prometheus here, and Debian's cannot be fetched: {fetched.stderr.strip()[-200:]}")
    unpacked = _run(["dpkg-deb", "-x", str(packages[0]), "."], folder)
    assert unpacked.returncode == 0, unpacked.stderr
    packages[0].unlink()
    return Prometheus(*(str(folder / "usr/bin" / program) for program in PROGRAMS))


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
