"""A seccomp filter for the media worker: the list of system calls it may make; any other fails with EPERM.

Linux on x86-64 and arm64; for all threads, permanently. An allow list: what CPython, NumPy, Pillow, PyAV and the C2PA
library need after start-up to read files, compute, and answer on a pipe. Calls under another architecture's numbers
(x32, 32-bit) end the process. Calls that are needed in part are allowed by their arguments (``_conditions``).
Sources: seccomp(2); linux/filter.h (classic BPF); the kernel's syscall tables for both architectures.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Mapping
from typing import Final

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
# SECCOMP_RET_* of linux/seccomp.h, with the errno in the low half
_ALLOW, _EPERM, _KILL, _ENOSYS = 0x7FFF0000, 0x00050001, 0x80000000, 0x00050026
# instruction codes of linux/bpf_common.h
_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_X32_BIT: Final = 0x40000000  # __X32_SYSCALL_BIT: asm/unistd.h
_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h

# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND and the bit of O_TMPFILE, the same on both architectures
_WRITING: Final = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000
_CLONE_THREAD: Final = 0x00010000  # linux/sched.h
_CLONE_NEW: Final = 0x7E020080  # every CLONE_NEW* flag: new namespaces
_FCNTL: Final = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC: no locks, leases, owners
_IOCTL: Final = (0x5401, 0x541B, 0x5450, 0x5451)  # TCGETS, FIONREAD, FIONCLEX, FIOCLEX
_PRCTL: Final = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (names of memory areas)
_RLIMIT_CPU: Final = 0  # asm-generic/resource.h

# numbers of the kernel's syscall tables
_ALLOWED: Final[Mapping[str, Mapping[str, int]]] = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
        "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
        "pread64": 17, "readv": 19, "writev": 20, "access": 21, "select": 23, "sched_yield": 24, "mremap": 25,
        "madvise": 28, "dup": 32, "dup2": 33, "nanosleep": 35, "getpid": 39, "exit": 60, "uname": 63, "getcwd": 79,
        "readlink": 89, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100,
        "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "getgroups": 115,
        "getresuid": 118, "getresgid": 120, "sigaltstack": 131, "statfs": 137, "fstatfs": 138, "sched_getparam": 143,
        "sched_getscheduler": 145, "sched_get_priority_max": 146, "sched_get_priority_min": 147, "gettid": 186,
        "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217, "set_tid_address": 218,
        "restart_syscall": 219, "fadvise64": 221, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
        "exit_group": 231, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "pselect6": 270, "ppoll": 271,
        "set_robust_list": 273, "get_robust_list": 274, "dup3": 292, "getcpu": 309, "getrandom": 318,
        "membarrier": 324, "statx": 332, "rseq": 334, "faccessat2": 439,
    },
    "aarch64": {
        "getcwd": 17, "dup": 23, "dup3": 24, "statfs": 43, "fstatfs": 44, "faccessat": 48, "close": 57,
        "getdents64": 61, "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67,
        "pselect6": 72, "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94,
        "set_tid_address": 96, "futex": 98, "set_robust_list": 99, "get_robust_list": 100, "nanosleep": 101,
        "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "sched_getscheduler": 120,
        "sched_getparam": 121, "sched_getaffinity": 123, "sched_yield": 124, "sched_get_priority_max": 125,
        "sched_get_priority_min": 126, "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134,
        "rt_sigprocmask": 135, "rt_sigreturn": 139, "getresuid": 148, "getresgid": 150, "times": 153,
        "getgroups": 158, "uname": 160, "getrlimit": 163, "getrusage": 165, "getcpu": 168, "gettimeofday": 169,
        "getpid": 172, "getppid": 173, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178,
        "sysinfo": 179, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "fadvise64": 223, "mprotect": 226,
        "madvise": 233, "getrandom": 278, "membarrier": 283, "statx": 291, "rseq": 293, "faccessat2": 439,
    },
}  # fmt: skip
# calls allowed by their arguments: the number of the argument, and its allowed values
_PARTLY: Final[Mapping[str, Mapping[str, int]]] = {
    "x86_64": {
        "open": 2, "ioctl": 16, "clone": 56, "fcntl": 72, "prctl": 157, "setrlimit": 160, "tgkill": 234,
        "openat": 257, "prlimit64": 302, "clone3": 435,
    },
    "aarch64": {
        "fcntl": 25, "ioctl": 29, "openat": 56, "tgkill": 131, "setrlimit": 164, "prctl": 167, "clone": 220,
        "prlimit64": 261, "clone3": 435,
    },
}  # fmt: skip

_Record = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def build(machine: str, pid: int) -> bytes:
    """The filter program as ``struct sock_filter`` records (8 bytes each).

    Args:
        machine: "x86_64" or "aarch64".
        pid: The process that it is for: it may signal its own threads only.
    """
    program: list[_Record] = [
        (_LOAD_WORD, 0, 0, 4),  # seccomp_data.arch
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD_WORD, 0, 0, 0),  # seccomp_data.nr
    ]
    if machine == "x86_64":
        program += [(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    for name, number in _PARTLY[machine].items():
        body = _conditions(name, pid)
        program += [(_JUMP_EQUAL, 0, len(body), number), *body]
    for number in sorted(_ALLOWED[machine].values()):
        program += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _EPERM))
    return b"".join(struct.pack("=HBBI", *record) for record in program)


def _conditions(name: str, pid: int) -> list[_Record]:
    """What decides about a call that is allowed in part; every way through ends with a return."""
    if name in ("open", "openat"):
        return [_argument(1 if name == "open" else 2), *_refuse_bits(_WRITING), *_END_ALLOW]
    if name == "clone":
        return [_argument(0), *_refuse_bits(_CLONE_NEW), (_JUMP_SET, 0, 1, _CLONE_THREAD), *_END_ALLOW, *_END_REFUSE]
    if name == "clone3":  # its flags are behind a pointer; without it the C library falls back to clone
        return [(_RETURN, 0, 0, _ENOSYS)]
    if name == "prlimit64":  # its own limits: reading, and the processor time of the next call
        own = [_argument(0), (_JUMP_EQUAL, 1, 0, 0), *_END_REFUSE]
        reading = [_argument(2), (_JUMP_EQUAL, 0, 3, 0), _argument(2, high=True), (_JUMP_EQUAL, 0, 1, 0), *_END_ALLOW]
        return [*own, *reading, _argument(1), *_only(_RLIMIT_CPU)]
    index, values = {
        "fcntl": (1, _FCNTL),
        "ioctl": (1, _IOCTL),
        "prctl": (0, _PRCTL),
        "setrlimit": (0, (_RLIMIT_CPU,)),
        "tgkill": (0, (pid,)),
    }[name]
    return [_argument(index), *_only(*values)]


_END_ALLOW: Final[list[_Record]] = [(_RETURN, 0, 0, _ALLOW)]  # 0, 0: a return jumps nowhere
_END_REFUSE: Final[list[_Record]] = [(_RETURN, 0, 0, _EPERM)]  # as the line above


def _argument(index: int, *, high: bool = False) -> _Record:
    """Load half of an argument; the tests below are on values that the kernel reads as 32 bits."""
    return (_LOAD_WORD, 0, 0, 16 + 8 * index + 4 * high)  # both architectures are little-endian


def _refuse_bits(mask: int) -> list[_Record]:
    return [(_JUMP_SET, 0, 1, mask), *_END_REFUSE]


def _only(*values: int) -> list[_Record]:
    tests: list[_Record] = [(_JUMP_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [*tests, *_END_REFUSE, *_END_ALLOW]


def install() -> bool:
    """Put the filter on this thread and all it starts. False where the platform or the kernel has none."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ALLOWED:
        return False
    code = build(machine, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p).value)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)
