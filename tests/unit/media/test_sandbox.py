"""The worker process: crashes, hangs, bombs and hostile answers end as errors, never as trouble in this process."""

import os
import pickle
import sys
import threading

import numpy as np
import pytest

from gensafe.core.errors import MediaLimitExceeded, UnreadableMedia, UnsupportedMedia
from gensafe.core.types import Image
from gensafe.media import Limits, encode
from gensafe.media.sandbox import WorkerLimits, WorkerPool, decode_untrusted, safe_loads
from gensafe.media.sandbox_seccomp import build

PNG = encode(Image(np.full((20, 30, 3), 9, np.uint8)), "image/png")


@pytest.fixture(scope="module")
def pool():
    made = WorkerPool(size=2)
    yield made
    made.close()


def evaluate(pool, code, **limits):
    return pool.run("builtins:eval", code, limits=WorkerLimits(**limits))


def test_media_comes_back_whole(pool):
    found = pool.run("gensafe.media:decode", PNG)
    assert np.array_equal(found.pixels, np.full((20, 30, 3), 9, np.uint8))
    assert np.array_equal(decode_untrusted(PNG).pixels, found.pixels)


def test_a_worker_is_reused_and_survives_errors(pool):
    first = evaluate(pool, "__import__('os').getpid()")
    for data in (b"\x00", PNG[:45]):
        with pytest.raises(UnreadableMedia):
            pool.run("gensafe.media:decode", data)
    with pytest.raises(UnsupportedMedia):
        pool.run("gensafe.media:decode", b"%PDF-1.7")
    with pytest.raises(MediaLimitExceeded) as caught:
        pool.run("gensafe.media:decode", PNG, None, Limits(max_side=8))
    assert caught.value.field == "max_side"
    assert evaluate(pool, "__import__('os').getpid()") == first != os.getpid()


def test_a_crash_is_unreadable_media_and_the_next_call_works(pool):
    for target in ("os:abort", "faulthandler:_sigsegv"):
        with pytest.raises(UnreadableMedia, match="crashed"):
            pool.run(target)
    assert pool.run("builtins:len", [1, 2]) == 2


def test_hangs_are_stopped(pool):
    with pytest.raises(MediaLimitExceeded) as caught:
        pool.run("time:sleep", 60, limits=WorkerLimits(wall_s=0.2))
    assert caught.value.field == "wall_s"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no RLIMIT_AS")
def test_memory_is_bounded(pool):
    with pytest.raises(MediaLimitExceeded) as caught:
        pool.run("builtins:bytearray", 1 << 32, limits=WorkerLimits(memory_bytes=1 << 30))
    assert caught.value.field == "memory_bytes"


def test_answers_are_bounded(pool):
    with pytest.raises(MediaLimitExceeded) as caught:
        pool.run("builtins:bytes", 1 << 20, limits=WorkerLimits(output_bytes=1000))
    assert caught.value.field == "output_bytes"


@pytest.mark.parametrize(
    "code", ["__import__('socket').socket()", "__import__('socket').create_connection(('::1', 1))"]
)
def test_python_sockets_are_refused_everywhere(pool, code):
    with pytest.raises(UnreadableMedia):
        evaluate(pool, f"__import__('socket').{code}")


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is a Linux facility")
@pytest.mark.parametrize(
    "code",
    [
        "__import__('_socket').socket(2, 1)",
        "__import__('os').fork()",
        "__import__('subprocess').run(['true'])",
        "__import__('os').kill(__import__('os').getppid(), 0)",
        "open('/tmp/gensafe-worker-must-not-write', 'wb')",
        "__import__('os').unlink('/tmp/gensafe-worker-must-not-unlink')",
    ],
)
def test_the_kernel_refuses_what_a_decoder_does_not_need(pool, code):
    if not pool.status()["seccomp"]:
        pytest.skip("this kernel offers no seccomp filter")
    with pytest.raises(UnreadableMedia, match="PermissionError"):
        evaluate(pool, code)


def test_threads_still_work_in_a_worker(pool):
    assert (
        evaluate(pool, "__import__('concurrent.futures').futures.ThreadPoolExecutor(2).submit(len, 'ab').result()") == 2
    )


def test_an_answer_cannot_run_code_here(pool):
    with pytest.raises(UnreadableMedia, match="may not come out"):
        pool.run("pathlib:Path", "/")
    for hostile in (b"cos\nsystem\n(S'true'\ntR.", b"\x80\x04junk", pickle.dumps(os.system)):
        with pytest.raises(UnreadableMedia):
            safe_loads(hostile)


def test_many_threads_share_few_workers(pool):
    found = []
    threads = [threading.Thread(target=lambda n=n: found.append(pool.run("builtins:len", [0] * n))) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(12))


def test_a_closed_pool_refuses():
    made = WorkerPool(size=1)
    made.close()
    with pytest.raises(UnreadableMedia, match="closed"):
        made.run("builtins:len", [1])


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_filter_jumps_stay_inside_the_program(machine):
    code = build(machine, 1)
    count = len(code) // 8
    for at in range(count):
        opcode, true, false = (
            int.from_bytes(code[8 * at : 8 * at + 2], sys.byteorder),
            code[8 * at + 2],
            code[8 * at + 3],
        )
        if opcode & 7 == 5:
            assert at + 1 + max(true, false) < count
    assert code[8 * (count - 1) : 8 * count - 6] == (6).to_bytes(2, sys.byteorder)
