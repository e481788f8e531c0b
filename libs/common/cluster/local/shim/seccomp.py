"""A filter of system calls: what reaches past a process without a file, a signal or the right to trace.

Landlock refuses those three outside of what it confines. It does not govern calls that act on any process
of the same user (`prlimit`, `setpriority`), nor leases, by which whoever may read a file of his own user's
lets everybody else wait who opens it, 45 s each time; and the fewer parts of the kernel a stranger can talk
to, the better. A filter sees the numbers that a call is given, and cannot follow a pointer.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

from libs.common.cluster.local.shim import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED = {
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
}
"""Whatever they are given: keys, programs and events of the kernel, mounts, files by handle, the machine.
Each has its number on x86_64 and on aarch64."""

PRLIMIT = (302, 261)
SETPRIORITY = (141, 140)
IOPRIO_SET = (251, 30)
SCHED_SETSCHEDULER = (144, 119)
SCHED_SETATTR = (314, 274)
UNSHARE = (272, 97)
CLONE = (56, 220)
CLONE3 = (435, 435)
FCNTL = (72, 25)

_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_NEW_TIME = 0x80
"""Of `unshare` alone: for `clone` it is a part of the signal's number."""

_PRIO_USER, _IOPRIO_WHO_USER = 2, 3
_SCHED_RESET_ON_FORK = 0x40000000
_LEASES = (1024, 1040)
"""What asks for a lease, and for a delegation, which is the same for directories too."""

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""The column in the tables above, and how the kernel calls the processor's own calls."""
_X32 = 0x40000000
"""From here on the numbers of a second set of calls that an x86_64 kernel may have."""

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_NOT_LESS, _JUMP_IF_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_AT_NUMBER, _AT_PROCESSOR, _AT_ARGUMENTS = 0, 4, 16
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

Instruction = tuple[int, int, int, int]
"""The operation, how many to skip if it holds and if it does not, and its operand."""


def is_possible() -> bool:
    """Whether there is a filter for this machine's processor."""
    return platform.machine() in _MACHINES


def enforce() -> None:
    """On this process from now on, and on all that it starts; it must have given up gaining privileges.

    Nothing where there is no filter for the processor. Raises OSError.
    """
    machine = platform.machine()
    if machine not in _MACHINES:
        return
    instructions = program(machine, own=os.getpid())
    stored = (_Instruction * len(instructions))(*(_Instruction(*each) for each in instructions))
    filtering = _Program(len(instructions), stored)
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(filtering))


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def program(machine: str, *, own: int) -> list[Instruction]:
    """The filter. own: the pid of the process that will have it. Pure."""
    column, processor = _MACHINES[machine]
    refuse, allow = [_answer(errno.EPERM)], [_answer(0)]
    instructions = [
        _load(_AT_PROCESSOR),
        (_JUMP_IF_EQUAL, 1, 0, processor),
        *refuse,
        _load(_AT_NUMBER),
    ]
    if machine == "x86_64":
        instructions += [(_JUMP_IF_NOT_LESS, 0, 1, _X32), *refuse]
    for numbers in REFUSED.values():
        instructions += _when(numbers[column], refuse)
    # Where a call is given who it is about, that is a process or a thread, and no filter can tell whose. It
    # may be about the caller, and about the replica's first process.
    itself = _own(0, own)
    for numbers, block in (
        (PRLIMIT, [*itself, *_unless_zero(2)]),  # without new limits it only tells the present ones
        (SETPRIORITY, [*_refuse_value(0, _PRIO_USER), *_own(1, own), *refuse]),
        (IOPRIO_SET, [*_refuse_value(0, _IOPRIO_WHO_USER), *_own(1, own), *refuse]),
        # The usual policy slows nobody down, and libraries set it for each of their threads.
        (SCHED_SETSCHEDULER, [*itself, *_unless_usual_policy(1)]),
        (SCHED_SETATTR, [*itself, *refuse]),
        (FCNTL, [*(one for each in _LEASES for one in _refuse_value(1, each)), *allow]),
        (UNSHARE, _unless_none_of(0, _NAMESPACES | _NEW_TIME)),
        (CLONE, _unless_none_of(0, _NAMESPACES)),
        # What it is given stands behind a pointer. Told that there is none, every library takes `clone`.
        (CLONE3, [_answer(errno.ENOSYS)]),
    ):
        instructions += _when(numbers[column], block)
    return instructions + allow


def _when(number: int, block: Sequence[Instruction]) -> list[Instruction]:
    """A block for one call; it ends with an answer in any case, so the number stays loaded for the others."""
    return [(_JUMP_IF_EQUAL, 0, len(block), number), *block]


def _load(at: int) -> Instruction:
    return (_LOAD, 0, 0, at)


def _low(argument: int) -> Instruction:
    return _load(_AT_ARGUMENTS + 8 * argument)


def _high(argument: int) -> Instruction:
    return _load(_AT_ARGUMENTS + 8 * argument + 4)


def _answer(error: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | error if error else _ALLOW)


def _own(argument: int, own: int) -> list[Instruction]:
    return [
        _low(argument),
        (_JUMP_IF_EQUAL, 1, 0, 0),
        (_JUMP_IF_EQUAL, 0, 1, own),
        _answer(0),
    ]


def _refuse_value(argument: int, value: int) -> list[Instruction]:
    return [_low(argument), (_JUMP_IF_EQUAL, 0, 1, value), _answer(errno.EPERM)]


def _unless_zero(argument: int) -> list[Instruction]:
    return [
        _low(argument),
        (_JUMP_IF_EQUAL, 0, 2, 0),
        _high(argument),
        (_JUMP_IF_EQUAL, 1, 0, 0),
        _answer(errno.EPERM),
        _answer(0),
    ]


def _unless_usual_policy(argument: int) -> list[Instruction]:
    return [
        _low(argument),
        (_AND, 0, 0, ~_SCHED_RESET_ON_FORK & 0xFFFFFFFF),
        (_JUMP_IF_EQUAL, 1, 0, 0),
        _answer(errno.EPERM),
        _answer(0),
    ]


def _unless_none_of(argument: int, bits: int) -> list[Instruction]:
    return [_low(argument), (_JUMP_IF_ANY_BIT, 0, 1, bits), _answer(errno.EPERM), _answer(0)]
