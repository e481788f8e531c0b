"""The program that is every part of a Kubernetes: built once for a user, kept under the hash of its inputs.

A cold build takes minutes, so it runs at a low priority, and once: whoever needs the program meanwhile waits
for that build. `python -m tests.support.kubelab.binary` builds it and prints where it is; where real nodes
are asked for, metrics-server is built after it, which is a program of its own.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from libs.common.clock import monotonic, utc_now
from tests.support.polling import waited_for

SOURCE = Path(__file__).parent
REAL_NODE = "SPECSTREAM_TEST_REAL_NODE"
"""Asks for real nodes, which need a second program."""
VERSION = "1.36.3"
"""Of Kubernetes, as go.mod requires it: a part that is built without being told would not know it."""

_VERSION_PACKAGE = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = VERSION.split(".")
_STAMPS = " ".join(
    f"-X {_VERSION_PACKAGE}.{name}={value}"
    for name, value in (("gitVersion", f"v{VERSION}"), ("gitMajor", _MAJOR), ("gitMinor", _MINOR))
)
_SETTINGS = {
    # Not left empty: Go would take the user's own from its configuration file.
    "GOFLAGS": "-mod=readonly",
    "GO111MODULE": "on",
    "GOWORK": "off",
    "CGO_ENABLED": "0",
}
_UNUSED_DAYS = 14
"""A program of other inputs that nobody started for so long is removed after a build: each has 150 MB."""


@dataclass(frozen=True, slots=True)
class Program:
    """source: the folder of its module. stamps: what the linker writes into it."""

    name: str
    source: Path
    stamps: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        return ("-trimpath", "-buildvcs=false", f"-ldflags=-s -w {self.stamps}")


KUBELAB = Program("kubelab", SOURCE, _STAMPS)
METRICS_SERVER = Program("kubelab-metrics", SOURCE / "metrics")

BUILD_PATIENCE_S = 25 * 60.0
"""A cold build takes 6 minutes of two cores, and three times that beside a whole run of the tests."""


class CannotBuild(Exception):
    """Says in one sentence why there is no program."""


def path(of: Program = KUBELAB) -> Path:
    """Where the program of these inputs is, or would be."""
    return _cache() / f"{of.name}-{key(of)}"


def key(of: Program = KUBELAB) -> str:
    """The hash of everything that the program is made from, but for the compiler: a newer one of the same
    language makes an equal program, and where there is none, a program that was brought along is found."""
    digest = hashlib.sha256()
    for file in sorted([*of.source.glob("*.go"), of.source / "go.mod", of.source / "go.sum"]):
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    digest.update(repr((of.flags, sorted(_SETTINGS.items()), sys.platform, platform.machine())).encode())
    return digest.hexdigest()


def find_go() -> str | None:
    usual = Path("/usr/local/go/bin/go")
    return shutil.which("go") or (str(usual) if usual.exists() else None)


def missing() -> str | None:
    """What a build needs and this machine lacks; None when the program is there, or can be built."""
    if path().exists() or find_go():
        return None
    return f"no Go to build it with (1.26 or newer, https://go.dev/dl) and no program at {path()}"


def ensure(of: Program = KUBELAB, *, patience_s: float = BUILD_PATIENCE_S) -> Path:
    """The program, built now if it is not there. CannotBuild when that fails, or takes longer than this."""
    program = path(of)
    if program.exists():
        with suppress(PermissionError):
            os.utime(program)
        return program
    deadline = monotonic() + patience_s
    began = utc_now()
    program.parent.mkdir(parents=True, exist_ok=True)
    with _alone(program.with_suffix(".lock"), patience_s):
        if not program.exists():
            failure = program.with_suffix(".failed")
            if _changed_at(failure) >= began.timestamp():
                # The build that this one waited for has failed: another would tell no more.
                raise CannotBuild(failure.read_text())
            try:
                _build(of, program, max(deadline - monotonic(), 1))
            except CannotBuild as error:
                failure.write_text(str(error))
                raise
            failure.unlink(missing_ok=True)
            _remove_unused(program)
    return program


def _build(of: Program, program: Path, patience_s: float) -> None:
    go = find_go()
    if not go:
        raise CannotBuild(str(missing()))
    left_out = {"GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT"}
    environment = {k: v for k, v in os.environ.items() if k not in left_out} | _SETTINGS
    prefix = f".{program.name}-"
    for left in program.parent.glob(f"{prefix}*"):
        # By a build that was killed: there is one lock for each program, and it is ours.
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=program.parent, prefix=prefix) as scratch:
        made = Path(scratch) / "kubelab"
        command = ["nice", "-n", "10", go, "build", *of.flags, "-o", str(made), "."]
        # In a session of its own, so that what it starts can be ended with it.
        process = subprocess.Popen(
            command,
            cwd=of.source,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            raise CannotBuild(f"`go build` was not done after {patience_s:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
        if process.returncode:
            raise CannotBuild(f"`go build` in {of.source} failed: {output.strip()[-2000:]}")
        made.replace(program)


@contextmanager
def _alone(lock: Path, patience_s: float) -> Iterator[None]:
    with lock.open("w") as held:

        def is_ours() -> bool:
            with suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        try:
            waited_for(is_ours, within_s=patience_s, every_s=0.2, because="another build is not done")
        except AssertionError as error:
            raise CannotBuild(str(error)) from None
        yield


def _changed_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0


def _remove_unused(program: Path) -> None:
    oldest = utc_now().timestamp() - _UNUSED_DAYS * 24 * 3600
    for other in program.parent.glob("kubelab-*"):
        with suppress(FileNotFoundError):
            if other.name.split(".")[0] != program.name and other.stat().st_mtime < oldest:
                other.unlink()


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "specstream"


if __name__ == "__main__":
    try:
        print(ensure())
        if os.environ.get(REAL_NODE):
            print(ensure(METRICS_SERVER))
    except CannotBuild as error:
        sys.exit(f"kubelab: {error}")
