"""The filter of system calls, gone through as the kernel does it; also for a processor that is not here."""

import errno
import platform
import re
from pathlib import Path

import pytest

from libs.common.cluster.local.shim import seccomp

OWN = 4242
ALLOWED = 0
PROCESSORS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMNS = {"x86_64": 0, "aarch64": 1}
HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+)\s+(\d+)"),
    "aarch64": ("/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+)\s+(\d+)"),
}
NEW_USER, THREAD = 0x10000000, 0x00010000


def answer(machine: str, number: int, *arguments: int, processor: int | None = None) -> int:
    """The error that the call ends with; 0 where it is let through."""
    words = {0: number & 0xFFFFFFFF, 4: PROCESSORS[machine] if processor is None else processor}
    for at, value in enumerate((*arguments, *[0] * (6 - len(arguments)))):
        words[16 + 8 * at], words[20 + 8 * at] = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
    program = seccomp.program(machine, own=OWN)
    at = loaded = 0
    while True:
        operation, if_true, if_false, value = program[at]
        at += 1
        match operation:
            case 0x20:
                loaded = words[value]
            case 0x54:
                loaded &= value
            case 0x06:
                return ALLOWED if value == 0x7FFF0000 else value & 0xFFFF
            case _:
                holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: loaded & value}[operation]
                at += if_true if holds else if_false


@pytest.fixture(params=COLUMNS)
def machine(request) -> str:
    return request.param


def of(machine: str, numbers: tuple[int, int]) -> int:
    return numbers[COLUMNS[machine]]


def test_what_no_replica_needs_is_refused_whatever_it_is_given(machine):
    assert {answer(machine, of(machine, each)) for each in seccomp.REFUSED.values()} == {errno.EPERM}


@pytest.mark.parametrize(
    ("arguments", "comes_to"),
    [
        pytest.param((0, 7, 0x7F0000000000, 0), ALLOWED, id="its own"),
        pytest.param((OWN, 7, 0x7F0000000000, 0), ALLOWED, id="its own, by its number"),
        pytest.param((1, 7, 0, 0x7F0000000000), ALLOWED, id="those of another, to read"),
        pytest.param((1, 7, 0x7F0000000000, 0), errno.EPERM, id="those of another"),
        pytest.param((1, 7, 0x7F0000001000, 0), errno.EPERM, id="those of another, from elsewhere"),
        pytest.param((1, 7, 0x7F00, 0), errno.EPERM, id="those of another, from low memory"),
    ],
)
def test_limits(machine, arguments, comes_to):
    assert answer(machine, of(machine, seccomp.PRLIMIT), *arguments) == comes_to


@pytest.mark.parametrize("call", [seccomp.SETPRIORITY, seccomp.IOPRIO_SET])
def test_priorities(machine, call):
    number = of(machine, call)
    user = 2 if call is seccomp.SETPRIORITY else 3
    assert answer(machine, number, user - 2, 0, 19) == ALLOWED
    assert answer(machine, number, user - 2, OWN, 19) == ALLOWED
    assert answer(machine, number, user - 2, 1, 19) == errno.EPERM
    assert answer(machine, number, user, 0, 19) == errno.EPERM


def test_policies(machine):
    scheduler, attributes = of(machine, seccomp.SCHED_SETSCHEDULER), of(machine, seccomp.SCHED_SETATTR)
    usual, idle, reset_on_fork = 0, 5, 0x40000000
    assert answer(machine, scheduler, 0, idle) == ALLOWED
    assert answer(machine, scheduler, 1, usual) == ALLOWED
    assert answer(machine, scheduler, 1, usual | reset_on_fork) == ALLOWED
    assert answer(machine, scheduler, 1, idle) == errno.EPERM
    assert answer(machine, scheduler, 1, idle | reset_on_fork) == errno.EPERM
    assert answer(machine, attributes, 0) == ALLOWED
    assert answer(machine, attributes, 1) == errno.EPERM


def test_leases(machine):
    status, lock, lease, delegation = 4, 6, 1024, 1040
    number = of(machine, seccomp.FCNTL)
    for harmless in (status, lock, lease + 1, delegation - 1):
        assert answer(machine, number, 3, harmless, 1) == ALLOWED
    for each in (lease, delegation):
        assert answer(machine, number, 3, each, 1) == errno.EPERM


def test_namespaces(machine):
    for call in (seccomp.CLONE, seccomp.UNSHARE):
        assert answer(machine, of(machine, call), THREAD) == ALLOWED
        assert answer(machine, of(machine, call), THREAD | NEW_USER) == errno.EPERM
    assert answer(machine, of(machine, seccomp.CLONE3)) == errno.ENOSYS


def test_other_sets_of_calls_are_closed():
    getpid = 39
    assert answer("x86_64", getpid) == ALLOWED
    assert answer("x86_64", 0x40000000 | getpid) == errno.EPERM
    assert answer("x86_64", getpid, processor=0x40000003) == errno.EPERM  # 32 bits
    assert answer("aarch64", 172, processor=0x40000028) == errno.EPERM  # 32 bits


def test_the_numbers_are_those_of_the_kernels_headers(machine):
    path, pattern = HEADERS[machine]
    if not Path(path).exists():
        pytest.skip(f"{path} is not here")
    known = {name: int(number) for name, number in re.findall(pattern, Path(path).read_text())}
    ours = seccomp.REFUSED | {
        "prlimit64": seccomp.PRLIMIT,
        "setpriority": seccomp.SETPRIORITY,
        "ioprio_set": seccomp.IOPRIO_SET,
        "sched_setscheduler": seccomp.SCHED_SETSCHEDULER,
        "sched_setattr": seccomp.SCHED_SETATTR,
        "unshare": seccomp.UNSHARE,
        "clone": seccomp.CLONE,
        "clone3": seccomp.CLONE3,
        "fcntl": seccomp.FCNTL,
    }
    assert {name: of(machine, each) for name, each in ours.items() if name in known} == {
        name: known[name] for name in ours if name in known
    }


def test_this_machine_has_one():
    assert seccomp.is_possible() == (platform.machine() in PROCESSORS)
