"""What surrounds the media worker beside its seccomp filter: Landlock, no capabilities, and a parent that is closed.

Landlock (Linux 5.13 and later, where it is switched on): no file can be changed, and only what Python and its libraries
need can be read, so neither keys, media and records of this installation nor ``/proc`` of another process.
Sources: landlock(7), linux/landlock.h; capset(2); prctl(2) on PR_SET_DUMPABLE.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import sysconfig
from collections.abc import Iterator
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on x86-64 and arm64
_VERSION, _PATH_BENEATH = 1, 1  # LANDLOCK_CREATE_RULESET_VERSION, LANDLOCK_RULE_PATH_BENEATH: linux/landlock.h
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38  # linux/prctl.h
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3  # LANDLOCK_ACCESS_FS_*: linux/landlock.h
_ACCESS_BITS: Final = {1: 13, 2: 14, 3: 15, 4: 15}  # number of LANDLOCK_ACCESS_FS_* bits by ABI; later ones 16
_NET: Final = 0b11  # bind and connect over TCP, from ABI 4
_SCOPED: Final = 0b11  # abstract Unix sockets and signals, from ABI 6
_PACKAGES: Final = ("gensafe", "gensafe_backends", "gensafe_watermark")
_SYSTEM: Final = (  # shared libraries, time zones, facts about the machine; nothing personal
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache",
    "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom", "/proc/self", "/proc/cpuinfo", "/proc/meminfo",
    "/sys/devices/system/cpu", "/sys/fs/cgroup",
)  # fmt: skip


def close_parent() -> bool:
    """Close this process's memory and environment to others of the same user (``/proc/PID/mem``, ptrace).

    To be called in the process that starts workers, before it does. It also means: no core dumps, no debugger.
    """
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)


def drop_capabilities() -> bool:
    """Give up what makes root more than an owner of files. True if none is left."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))  # _LINUX_CAPABILITY_VERSION_3, this thread
    if libc.capset(header, ctypes.create_string_buffer(24)) != 0:
        return False
    sets = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; twice, 32 bits each
    return bool(libc.capget(header, sets) == 0 and not any(sets.raw))


def install() -> bool:
    """Restrict this thread and all it starts. False where the kernel has no Landlock."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    abi = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))
    if abi < 1:
        return False
    handled = (1 << _ACCESS_BITS.get(abi, 16)) - 1
    fields = [handled] + [_NET] * (abi >= 4) + [_SCOPED] * (abi >= 6)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset < 0:
        return False
    try:
        for path, access in _readable():
            _allow(libc, ruleset, path, access)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint(0)) == 0)
    finally:
        os.close(ruleset)


def _readable() -> Iterator[tuple[str, int]]:
    for path in _SYSTEM:
        yield path, _READ_FILE | _READ_DIR
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    installed = {os.path.realpath(sysconfig.get_path(name)) for name in names}
    for entry in {os.path.realpath(entry) for entry in sys.path if entry}:
        if entry in installed or entry.endswith(("site-packages", "dist-packages", "lib-dynload")):
            yield entry, _READ_FILE | _READ_DIR
            continue
        yield entry, _READ_DIR  # a source tree: imports list it, and may read our own packages in it
        for package in _PACKAGES:
            yield os.path.join(entry, package), _READ_FILE | _READ_DIR
    for path in installed:
        yield path, _READ_FILE | _READ_DIR


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not on this machine
        return
    try:
        if not os.path.isdir(path):
            access &= _READ_FILE
        rule = struct.pack("=Qi", access, opened)
        libc.syscall(_ADD_RULE, ruleset, ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
    finally:
        os.close(opened)
