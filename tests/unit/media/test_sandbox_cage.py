"""The cage of the reading worker: a program inside tries each way out, and each fails, as root and as nobody.

The review saw on ed72f70 (root, seccomp deny list in force): O_TRUNC emptied a file; tgkill, pidfd_send_signal and
prlimit64 reached the parent; its environ and mem were readable; fchmod, mknod, setxattr, lchown, shmget and
memfd_create succeeded. The other attempts here are their siblings.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gensafe.media.sandbox import WorkerPool

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="tries Linux calls by their x86-64 numbers"
)

# Runs inside a worker; returns the names of what was not refused. Where a call would change the machine, its arguments
# make it fail with another error than a refusal (no such place, a bad address): a broken cage must not break the host.
INSIDE = """
def probe(folder, victim, parent):
    import ctypes, os, threading
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    def call(number, *args):
        args = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) if isinstance(a, int) else a for a in args]
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *args)
        refused = (38,) if number == 435 else (1, 13)  # clone3: ENOSYS; EPERM, EACCES
        return not (result < 0 and ctypes.get_errno() in refused)
    room = ctypes.create_string_buffer(4096)
    spot = ctypes.c_void_p(ctypes.addressof(room))
    v, new, at = victim.encode(), folder.encode() + b"/new", -100
    none, bad = b"/nonexistent/gensafe", 8  # no such place; an address that is never mapped
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(room), 8)
    def reads(path):
        try:
            with open(path, "rb") as file:
                return len(file.read(1)) >= 0
        except OSError:
            return False
    def lists(path):
        try:
            return bool(os.listdir(path)) or True
        except OSError:
            return False
    tries = {
        "open O_WRONLY": lambda: call(2, v, 1, 0), "open O_RDWR": lambda: call(2, v, 2, 0),
        "open O_TRUNC": lambda: call(2, v, 0o1000, 0), "open O_CREAT": lambda: call(2, new, 0o100, 0o666),
        "open O_APPEND": lambda: call(2, v, 0o2001, 0), "openat O_TRUNC": lambda: call(257, at, v, 0o1000, 0),
        "openat O_TMPFILE": lambda: call(257, at, folder.encode(), 0o20200002, 0o600),
        "openat high bits": lambda: call(257, at, v, 0x100000001, 0),
        "openat2": lambda: call(437, at, v, spot, 24), "creat": lambda: call(85, new, 0o666),
        "truncate": lambda: call(76, v, 0), "rename": lambda: call(82, v, new), "renameat": lambda: call(264, at, v, at, new),
        "renameat2": lambda: call(316, at, v, at, new, 0), "unlink": lambda: call(87, v), "unlinkat": lambda: call(263, at, v, 0),
        "mkdir": lambda: call(83, new, 0o777), "mkdirat": lambda: call(258, at, new, 0o777), "rmdir": lambda: call(84, folder.encode()),
        "mknod": lambda: call(133, new, 0o10644, 0), "mknodat": lambda: call(259, at, new, 0o10644, 0),
        "link": lambda: call(86, v, new), "linkat": lambda: call(265, at, v, at, new, 0),
        "symlink": lambda: call(88, v, new), "symlinkat": lambda: call(266, v, at, new),
        "chmod": lambda: call(90, v, 0o666), "fchmodat": lambda: call(268, at, v, 0o666), "fchmodat2": lambda: call(452, at, v, 0o666, 0),
        "chown": lambda: call(92, v, -1, -1), "lchown": lambda: call(94, v, -1, -1), "fchownat": lambda: call(260, at, v, -1, -1, 0),
        "setxattr": lambda: call(188, v, b"user.x", b"1", 1, 0), "lsetxattr": lambda: call(189, v, b"user.x", b"1", 1, 0),
        "removexattr": lambda: call(197, v, b"user.x"),
        "utimensat": lambda: call(280, at, v, 0, 0), "utime": lambda: call(132, v, 0), "utimes": lambda: call(235, v, 0),
        "kill": lambda: call(62, parent, 0), "tkill": lambda: call(200, parent, 0), "tgkill": lambda: call(234, parent, parent, 0),
        "kill all": lambda: call(62, -1, 0), "rt_sigqueueinfo": lambda: call(129, parent, 0, spot),
        "rt_tgsigqueueinfo": lambda: call(297, parent, parent, 0, spot), "pidfd_open": lambda: call(434, parent, 0),
        "pidfd_send_signal": lambda: call(424, 0, 0, 0, 0), "pidfd_getfd": lambda: call(438, 0, 0, 0),
        "prlimit64 of parent": lambda: call(302, parent, 7, 0, bad), "prlimit64 NOFILE": lambda: call(302, 0, 7, bad, 0),
        "prlimit64 FSIZE": lambda: call(302, 0, 1, bad, 0), "setrlimit AS": lambda: call(160, 9, bad),
        "ptrace": lambda: call(101, 16, parent, 0, 0), "process_vm_readv": lambda: call(310, parent, vector, 1, vector, 1, 0),
        "process_vm_writev": lambda: call(311, parent, vector, 0, vector, 0, 0), "kcmp": lambda: call(312, parent, parent, 0, 0, 0),
        "environ": lambda: reads(f"/proc/{parent}/environ"), "mem": lambda: reads(f"/proc/{parent}/mem"),
        "maps": lambda: reads(f"/proc/{parent}/maps"), "cmdline": lambda: reads(f"/proc/{parent}/cmdline"),
        "fd": lambda: lists(f"/proc/{parent}/fd"), "fd/0": lambda: call(89, f"/proc/{parent}/fd/0".encode(), spot, 99), "victim": lambda: reads(victim), "passwd": lambda: reads("/etc/passwd"),
        "folder": lambda: lists(folder), "home": lambda: lists(os.path.expanduser("~")), "/tmp": lambda: lists("/tmp"),
        "socket inet": lambda: call(41, 2, 1, 0), "socket unix": lambda: call(41, 1, 1, 0), "socket netlink": lambda: call(41, 16, 3, 0),
        "socket vsock": lambda: call(41, 40, 1, 0), "socketpair": lambda: call(53, 1, 1, 0, spot), "connect": lambda: call(42, 0, spot, 16),
        "execve": lambda: call(59, b"/bin/true", 0, 0), "execveat": lambda: call(322, at, b"/bin/true", 0, 0, 0),
        "fork": lambda: call(57), "vfork": lambda: call(58), "clone": lambda: call(56, 17, 0, 0, 0, 0),
        "clone NEWUSER": lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0), "clone3": lambda: call(435, spot, 64),
        "memfd_create": lambda: call(319, b"x", 0), "memfd_secret": lambda: call(447, 0), "shmget": lambda: call(29, 0x5151, 4096, 0),
        "shmat": lambda: call(30, 0, 0, 0), "msgget": lambda: call(68, 0x5151, 0), "semget": lambda: call(64, 0x5151, 1, 0),
        "mq_open": lambda: call(240, none, 0, 0, 0), "io_uring_setup": lambda: call(425, 4, spot), "bpf": lambda: call(321, 0, spot, 16),
        "perf_event_open": lambda: call(298, spot, 0, -1, -1, 0), "userfaultfd": lambda: call(323, 1), "add_key": lambda: call(248, bad, bad, bad, 1, -3),
        "keyctl": lambda: call(250, 99, 0, 0), "request_key": lambda: call(249, bad, bad, 0, 0), "mount": lambda: call(165, none, none, none, 0, 0),
        "umount": lambda: call(166, none, 0), "fsopen": lambda: call(430, bad, 0), "unshare": lambda: call(272, 0x10000000), "setns": lambda: call(308, 0, 0),
        "setuid": lambda: call(105, 0), "setgid": lambda: call(106, 0), "setresuid": lambda: call(117, 0, 0, 0), "setgroups": lambda: call(116, 0, 0),
        "capset": lambda: call(126, spot, spot), "chroot": lambda: call(161, b"/"), "chdir": lambda: call(80, b"/"), "umask": lambda: call(95, 0),
        "setsid": lambda: call(112), "setpgid": lambda: call(109, 0, 0), "setpriority": lambda: call(141, 9, parent, 0),
        "sched_setaffinity": lambda: call(203, parent, 8, bad), "sched_setscheduler": lambda: call(144, 0, 0, spot), "ioprio_set": lambda: call(251, 9, 0, 0),
        "ioctl TIOCSTI": lambda: call(16, 0, 0x5412, b"x"), "ioctl FIOASYNC": lambda: call(16, 0, 0x5452, spot), "fcntl F_SETOWN": lambda: call(72, 0, 8, parent),
        "fcntl F_SETLK": lambda: call(72, 0, 6, spot), "flock": lambda: call(73, 0, 1), "ftruncate": lambda: call(77, 1, 0), "fallocate": lambda: call(285, 1, 0, 0, 1),
        "fchmod": lambda: call(91, 0, 0o666), "fchown": lambda: call(93, 0, -1, -1), "fsetxattr": lambda: call(190, 0, b"user.x", b"1", 1, 0),
        "prctl dumpable": lambda: call(157, 4, 1, 0, 0, 0), "prctl ptracer": lambda: call(157, 0x59616D61, -1, 0, 0, 0), "prctl seccomp": lambda: call(157, 22, 2, spot, 0, 0),
        "seccomp": lambda: call(317, 1, 0, spot), "landlock": lambda: call(444, 0, 0, 1), "reboot": lambda: call(169, 0, 0, 0, 0), "settimeofday": lambda: call(164, bad, 0),
        "clock_settime": lambda: call(227, 0, bad), "adjtimex": lambda: call(159, bad), "sethostname": lambda: call(170, bad, 1), "swapon": lambda: call(167, none, 0),
        "personality": lambda: call(135, 8), "syslog": lambda: call(103, 3, spot, 10), "quotactl": lambda: call(179, 0, 0, 0, spot), "init_module": lambda: call(175, bad, 0, bad),
        "sendfile": lambda: call(40, 1, 0, 0, 0), "copy_file_range": lambda: call(326, 0, 0, 1, 0, 0, 0), "inotify_init": lambda: call(253), "fanotify_init": lambda: call(300, 0, 0),
        "process_madvise": lambda: call(440, 0, vector, 1, 21, 0), "timer_create": lambda: call(222, 0, 0, spot), "alarm": lambda: call(37, 0),
    }
    through = [name for name, attempt in tries.items() if attempt()]
    thread = threading.Thread(target=lambda: through.extend("thread " + n for n in ("open O_TRUNC", "socket inet") if tries[n]()))
    thread.start(); thread.join()
    return through, len(tries)
"""  # noqa: E501 - a table
FOREIGN = {
    # getpid by x32's number, and int 0x80 (i386 getpid) from a page of machine code
    "x32": "__import__('ctypes').CDLL(None).syscall(0x40000000 + 39)",
    "i386": "(lambda c, m: (lambda p: (p.write(bytes.fromhex('b814000000cd80c3')), "
    "c.CFUNCTYPE(c.c_int)(c.addressof(c.c_char.from_buffer(p)))()))(m.mmap(-1, 4096, prot=7)))"
    "(__import__('ctypes'), __import__('mmap'))",
}


def try_all(pool, folder):
    victim = folder / "victim"
    victim.write_bytes(b"still here")
    scope = f"exec({INSIDE!r}, s) or s['probe']({str(folder)!r}, {str(victim)!r}, {os.getpid()})"
    through, count = pool.run("builtins:eval", f"(lambda s: {scope})({{}})")
    assert count > 120
    assert victim.read_bytes() == b"still here" and sorted(p.name for p in folder.iterdir()) == ["victim"]
    return through


@pytest.fixture
def pool():
    made = WorkerPool(size=1)
    yield made
    made.close()


def test_no_way_out(pool, tmp_path):
    status = pool.status()
    if not (status["seccomp"] and status["landlock"]):
        pytest.skip(f"this kernel offers less: {status}")
    assert all(status.values()), status
    assert try_all(pool, tmp_path) == []


def test_seccomp_alone_leaves_reading_only(tmp_path):
    pool = WorkerPool(size=1, without=frozenset({"landlock"}))
    assert pool.status()["landlock"] is False and pool.status()["seccomp"] is True
    reading = {
        "victim",
        "passwd",
        "folder",
        "home",
        "/tmp",
        "cmdline",
        "fd",
    }  # what the user may read; fd: the numbers alone
    assert set(try_all(pool, tmp_path)) <= reading
    pool.close()


def test_landlock_alone_leaves_no_file_and_no_parent(tmp_path):
    pool = WorkerPool(size=1, without=frozenset({"seccomp"}))
    if not pool.status()["landlock"]:
        pytest.skip("this kernel offers no Landlock")
    assert pool.status()["seccomp"] is False
    (tmp_path / "victim").write_bytes(b"still here")
    for path in (tmp_path / "victim", f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/mem", "/etc/passwd"):
        with pytest.raises(Exception, match="Permission denied"):
            pool.run("builtins:open", str(path), "rb")
    for mode in ("wb", "ab", "r+b"):
        with pytest.raises(Exception, match="Permission denied"):
            pool.run("builtins:open", str(tmp_path / "victim"), mode)
    pool.close()


@pytest.mark.parametrize("code", FOREIGN.values(), ids=FOREIGN)
def test_calls_of_another_architecture_end_the_worker(pool, code):
    with pytest.raises(Exception, match="signal 31"):
        pool.run("builtins:eval", code)
    assert pool.run("builtins:len", "ab") == 2


AS_NOBODY = """
import ctypes, os, resource, socket, sys, sysconfig, threading
sysconfig.get_config_vars()
import gensafe.media.sandbox_seccomp
from gensafe.media.sandbox_landlock import close_parent
from gensafe.media.sandbox_worker import lock_down
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
close_parent()
if os.fork() == 0:
    print(all(lock_down(6 << 30, 64).values()), flush=True)
    print(probe(*sys.argv[1:3], os.getppid()), flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_no_way_out_as_nobody(pool, tmp_path):
    """The same program with the server and the worker running as uid 65534, who owns the file."""
    if not pool.status()["landlock"]:
        pytest.skip("this kernel offers no Landlock")
    folder = Path("/tmp") / f"gensafe-nobody-{os.getpid()}"
    folder.mkdir()
    try:
        victim = folder / "victim"
        victim.write_bytes(b"still here")
        os.chown(folder, 65534, 65534)
        os.chown(victim, 65534, 65534)
        code = [sys.executable, "-c", INSIDE + AS_NOBODY, str(folder), str(victim)]
        done = subprocess.run(code, capture_output=True, text=True, cwd="/", check=False)
        assert done.stdout.splitlines()[:1] == ["True"], done.stderr
        assert done.stdout.splitlines()[1].startswith("([], "), done.stdout
        assert victim.read_bytes() == b"still here"
    finally:
        subprocess.run(["rm", "-r", str(folder)], check=True)
