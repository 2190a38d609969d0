"""A seccomp filter for the media worker: a list of system calls that then fail with EPERM, for all threads, for good.

Linux on x86-64 and arm64. A deny list, not an allow list: decoders, NumPy and ONNX Runtime use many calls, and what
matters here is that none opens a socket, starts a program, writes a file or reaches into another process.
Sources: seccomp(2); linux/filter.h (classic BPF); the kernel's syscall tables for both architectures.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from typing import Final

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _EPERM, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_JUMP_SET, _ENOSYS, _CLONE_THREAD = 0x45, 0x00050026, 0x00010000
_X32_BIT: Final = 0x40000000

_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE: Final = {"x86_64": (56, 435), "aarch64": (220, 435)}
_OPEN: Final = {"x86_64": ((2, 1), (257, 2)), "aarch64": ((56, 2),)}  # open, openat: which argument holds the flags
_WRITING: Final = 0o1 | 0o2 | 0o100  # O_WRONLY, O_RDWR, O_CREAT
_DENIED: Final = {
    "x86_64": {
        "socket": 41,
        "connect": 42,
        "sendto": 44,
        "sendmsg": 46,
        "bind": 49,
        "listen": 50,
        "socketpair": 53,
        "fork": 57,
        "vfork": 58,
        "execve": 59,
        "kill": 62,
        "truncate": 76,
        "rename": 82,
        "mkdir": 83,
        "rmdir": 84,
        "creat": 85,
        "link": 86,
        "unlink": 87,
        "symlink": 88,
        "chmod": 90,
        "chown": 92,
        "ptrace": 101,
        "mount": 165,
        "init_module": 175,
        "tkill": 200,
        "mkdirat": 258,
        "mknodat": 259,
        "unlinkat": 263,
        "renameat": 264,
        "linkat": 265,
        "symlinkat": 266,
        "fchmodat": 268,
        "unshare": 272,
        "perf_event_open": 298,
        "sendmmsg": 307,
        "setns": 308,
        "renameat2": 316,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "bpf": 321,
        "execveat": 322,
        "userfaultfd": 323,
        "io_uring_setup": 425,
        "openat2": 437,
        "pidfd_getfd": 438,
    },
    "aarch64": {
        "mknodat": 33,
        "mkdirat": 34,
        "unlinkat": 35,
        "symlinkat": 36,
        "linkat": 37,
        "renameat": 38,
        "mount": 40,
        "truncate": 45,
        "fchmodat": 53,
        "unshare": 97,
        "init_module": 105,
        "ptrace": 117,
        "kill": 129,
        "tkill": 130,
        "socket": 198,
        "socketpair": 199,
        "bind": 200,
        "listen": 201,
        "connect": 203,
        "sendto": 206,
        "sendmsg": 211,
        "execve": 221,
        "perf_event_open": 241,
        "setns": 268,
        "sendmmsg": 269,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "bpf": 280,
        "execveat": 281,
        "renameat2": 276,
        "userfaultfd": 282,
        "io_uring_setup": 425,
        "openat2": 437,
        "pidfd_getfd": 438,
    },
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def build(machine: str) -> bytes:
    """The filter program for ``machine`` as ``struct sock_filter`` records (8 bytes each)."""
    numbers = sorted(_DENIED[machine].values())
    program = [
        (_LOAD_WORD, 0, 0, 4),  # seccomp_data.arch
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),  # calls of another architecture have other numbers
        (_LOAD_WORD, 0, 0, 0),  # seccomp_data.nr
    ]
    if machine == "x86_64":
        program += [(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), (_RETURN, 0, 0, _EPERM)]
    clone, clone3 = _CLONE[machine]
    program += [
        (_JUMP_EQUAL, 0, 1, clone3),
        (_RETURN, 0, 0, _ENOSYS),  # its flags are behind a pointer; the C library then falls back to clone
        (_JUMP_EQUAL, 0, 4, clone),
        (_LOAD_WORD, 0, 0, 16),  # seccomp_data.args[0], low half
        (_JUMP_SET, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),  # a thread
        (_RETURN, 0, 0, _EPERM),  # a process
    ]
    for number, argument in _OPEN[machine]:
        program += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD_WORD, 0, 0, 16 + 8 * argument),
            (_JUMP_SET, 0, 1, _WRITING),
            (_RETURN, 0, 0, _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    for index, number in enumerate(numbers):
        program.append((_JUMP_EQUAL, len(numbers) - index, 0, number))
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)]
    return b"".join(struct.pack("=HBBI", *record) for record in program)


def install() -> bool:
    """Put the filter on this thread and all it starts. False where the platform or the kernel has none."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _DENIED:
        return False
    code = build(machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p).value)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)
