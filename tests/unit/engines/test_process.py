"""Engines in processes of their own: the same answers, and no way for them to take the server along."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import signal
import socket
import struct
import tempfile
import threading
import time
from typing import ClassVar

import numpy as np
import pytest

from gensafe.core.config import Config, EngineConfig
from gensafe.core.errors import (
    BackendError,
    BackendUnavailable,
    Cancelled,
    ConfigError,
    PluginError,
    PromptNotUnderstood,
)
from gensafe.core.types import (
    Audio,
    Draft,
    GenerationJob,
    GenerationRecord,
    Image,
    Message,
    Modality,
    Parameters,
    Role,
    Text,
    TextDelta,
    Video,
)
from gensafe.engines import process as module
from gensafe.engines.process import ProcessBackend
from gensafe.engines.wire import Channel, Closed, event_in, event_out, job_in, job_out
from gensafe.pipeline import CallControl, Released, open_chain, run
from gensafe.testing.backend_contract import BackendContract
from gensafe.testing.simulator import STEPS, Simulator


@pytest.fixture(scope="module")
def shared():
    backend = ProcessBackend("simulator", {})
    yield backend
    backend.close()


@pytest.fixture
def started():
    made = []

    def start(**options: str) -> ProcessBackend:
        made.append(ProcessBackend("simulator", options))
        return made[-1]

    yield start
    for backend in made:
        backend.close()


def job(modality=Modality.TEXT, prompt="hello", **more):
    return GenerationJob(prompt, modality, (), 7, 40, **more)


class TestInAProcess(BackendContract):
    prompts: ClassVar = dict.fromkeys(Modality, "anything")

    @pytest.fixture(autouse=True)
    def _started(self, shared):
        self.backend = shared

    def make_backend(self):
        return self.backend

    def test_it_honours_a_sampling_mark_or_says_that_it_does_not(self):
        """The mark travels to the process, so what it was shown there is not seen here; ``test_a_mark`` checks it."""


@pytest.mark.parametrize("modality", list(Modality))
def test_the_answers_are_those_of_the_backend_itself(shared, modality):
    here, there = (list(b.generate(job(modality), None, lambda: False)) for b in (Simulator({}), shared))
    assert [type(e) for e in here] == [type(e) for e in there]
    assert here[-1].record == there[-1].record
    for a, b in zip(here[:-1], there[:-1], strict=True):
        assert a == b
    match here[-1].media, there[-1].media:
        case Text() as a, Text() as b:
            assert a == b
        case Image() as a, Image() as b:
            np.testing.assert_array_equal(a.pixels, b.pixels)
        case Audio() as a, Audio() as b:
            np.testing.assert_array_equal(a.samples, b.samples)
        case Video() as a, Video() as b:
            np.testing.assert_array_equal(a.frames, b.frames)
            np.testing.assert_array_equal(a.audio.samples, b.audio.samples)


def test_a_mark(shared):
    from gensafe.core import plugins

    scheme = plugins.load("gensafe.watermarks", "text")
    key = bytes(range(32))
    here, there = (list(b.generate(job(), scheme.sampler(key), lambda: False))[-1] for b in (Simulator({}), shared))
    assert here == there and "not marked" not in there.record.sampling_mark
    assert shared.tokenizer().encode("january may") == Simulator({}).tokenizer().encode("january may")
    pickle.loads(pickle.dumps(scheme.sampler(key)))


def test_a_job_arrives_whole():
    sound = Audio(np.ones((2, 5), np.float32), 16000)
    one = GenerationJob(
        "p\u00e4\U0001f600",
        Modality.VIDEO,
        (Text("t"), Image(np.zeros((3, 4, 3), np.uint8)), sound, Video(np.ones((2, 3, 4, 3), np.uint8), 8.0, sound)),
        2**62,
        9,
        "m",
        (Message(Role.SYSTEM, "s"),),
        Parameters(temperature=0.5, stop=("x",), extra={"a": "b"}),
    )
    left, right = socket.socketpair()
    said, arrays = job_out(one)
    sender, receiver = Channel(left), Channel(right)
    threading.Thread(target=sender.send, args=({"job": said}, arrays)).start()
    message, came = receiver.receive()
    back = job_in(message["job"], came)
    assert (back.prompt, back.seed, back.messages, back.parameters) == (one.prompt, 2**62, one.messages, one.parameters)
    np.testing.assert_array_equal(back.inputs[3].frames, one.inputs[3].frames)
    np.testing.assert_array_equal(back.inputs[3].audio.samples, sound.samples)
    sender.close()
    with pytest.raises(Closed):
        receiver.receive()
    receiver.close()


def test_a_message_cut_anywhere_is_no_message():
    """An engine that is killed while it hands its arrays over: what arrived is thrown away, and no descriptor stays."""
    record = GenerationRecord("b", "m", "1", "", 1, 1, "")
    said, _ = event_out(Draft(Image(np.zeros((2, 3, 3), np.uint8)), record))
    data = json.dumps({"id": 1, **said, "arrays": [{"dtype": "|u1", "shape": [2, 3, 3]}]}).encode()
    whole = struct.pack(">I", len(data)) + data
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for cut in (0, 1, 3, 4, 5, len(whole) // 2, len(whole) - 1):
        left, right = socket.socketpair()
        with tempfile.TemporaryFile() as array:
            array.write(bytes(18))
            array.flush()
            if cut:
                socket.send_fds(left, [whole[:cut]], [array.fileno()])
        left.close()
        receiver = Channel(right)
        with pytest.raises(Closed):
            receiver.receive()
        receiver.close()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def _descriptors():
    return sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []


def test_arrays_stay_as_they_were_read_whatever_the_sender_does_to_its_memory():
    """An engine that was taken over could show one picture to the judge and another to the signer."""
    for change in (lambda file: os.pwrite(file, b"\7" * 9000, 0), lambda file: os.ftruncate(file, 0)):
        left, right = socket.socketpair()
        with tempfile.TemporaryFile() as file:
            file.write(bytes(4096 + 300 * 300 * 3))
            file.flush()
            data = json.dumps({"arrays": [{"dtype": "|u1", "shape": [300, 300, 3]}]}).encode()
            socket.send_fds(left, [struct.pack(">I", len(data)) + data], [file.fileno()])
            receiver = Channel(right)
            _, (picture,) = receiver.receive()
            change(file.fileno())
            assert not picture.any()
        left.close()
        receiver.close()


@pytest.mark.parametrize("shape", [[300], [-1], [1 << 60], [2, -150]])
def test_an_array_that_its_file_does_not_hold_is_no_message(shape):
    left, right = socket.socketpair()
    with tempfile.TemporaryFile() as file:
        file.write(bytes(4096 + 299))
        file.flush()
        data = json.dumps({"arrays": [{"dtype": "|u1", "shape": shape}]}).encode()
        socket.send_fds(left, [struct.pack(">I", len(data)) + data], [file.fileno()])
        receiver = Channel(right)
        with pytest.raises(Closed):
            receiver.receive()
    left.close()
    receiver.close()


def test_memory_is_used_again_once_it_was_read_and_not_before():
    before = _descriptors()
    left, right = socket.socketpair()
    sender, receiver = Channel(left), Channel(right)
    pictures = [np.full((64, 64, 3), n, np.uint8) for n in range(6)]
    for waiting in (1, 3, 2):  # messages that are sent before the first of them is read
        for n in range(waiting):
            sender.send({"n": n}, (pictures[n], np.zeros((2, 0), np.float32)))
        for n in range(waiting):
            message, (picture, nothing) = receiver.receive()
            assert message["n"] == n and nothing.shape == (2, 0)
            np.testing.assert_array_equal(picture, pictures[n])
    assert len(sender._kept) == 2
    kept = list(sender._kept)
    sender.send({}, (pictures[5],))
    assert set(sender._kept) == set(kept)
    sender.close()
    receiver.close()
    assert _descriptors() == before


@pytest.mark.parametrize(
    ("said", "arrays"),
    [
        ({}, ()),
        ({"event": "draft"}, ()),
        ({"event": "progress", "done": "x", "total": 1, "stage": "s"}, ()),
        ({"event": "secret"}, ()),
        ({"media": {"kind": "image"}}, ()),
        ({"media": {"kind": "image"}}, (np.zeros((2, 2), np.uint8),)),
        ({"media": {"kind": "image"}}, (np.zeros((2, 2, 3), np.float64),)),
        ({"media": {"kind": "audio", "rate": "x"}}, (np.zeros((1, 2), np.float32),)),
        ({"media": {"kind": "smell"}}, ()),
        ({"record": {"backend": 7}}, ()),
    ],
)
def test_what_is_no_event_is_a_failure(said, arrays):
    record = GenerationRecord("b", "m", "1", "", 1, 1, "")
    good, _ = event_out(Draft(Text("x"), record))
    with pytest.raises(BackendError):
        event_in({**good, **said} if "event" not in said and said else said, arrays)


def test_errors_keep_their_kind(shared):
    with pytest.raises(PromptNotUnderstood) as error:
        list(shared.generate(job(prompt="unknown"), None, lambda: False))
    assert error.value.unknown == ("unknown",)


def test_options_are_refused_as_in_this_process():
    with pytest.raises(ConfigError) as error:
        ProcessBackend("smollm2", {"threads": "0"})
    assert error.value.field == "threads"
    with pytest.raises(PluginError, match="absent"):
        ProcessBackend("absent", {})


def test_many_jobs_at_once(shared):
    found = {}

    def one(seed):
        found[seed] = list(shared.generate(GenerationJob("x", Modality.IMAGE, (), seed, 0), None, lambda: False))[-1]

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, draft in found.items():
        alone = list(Simulator({}).generate(GenerationJob("x", Modality.IMAGE, (), seed, 0), None, lambda: False))[-1]
        np.testing.assert_array_equal(draft.media.pixels, alone.media.pixels)


def test_a_process_that_dies_fails_its_jobs_and_the_next_request_works(started):
    backend = started(step_ms="50")
    events = backend.generate(job(), None, lambda: False)
    next(events)
    first = backend.pid
    os.kill(first, signal.SIGKILL)
    with pytest.raises(BackendUnavailable, match="signal 9"):
        list(events)
    assert isinstance(list(backend.generate(job(), None, lambda: False))[-1], Draft)
    assert backend.pid != first


def test_one_that_dies_every_time_is_started_with_pauses(started, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 30.0)
    backend = started(fail_at="die")
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="process ended"):
            list(backend.generate(job(), None, lambda: False))
    with pytest.raises(BackendUnavailable, match="retry after"):
        list(backend.generate(job(), None, lambda: False))


def test_one_that_hangs_is_killed_after_its_grace(started, monkeypatch):
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    backend = started(fail_at="hang")
    gone = threading.Event()
    events = backend.generate(job(), None, gone.is_set)
    assert isinstance(next(events), TextDelta)
    gone.set()
    with pytest.raises(Cancelled):
        list(events)
    assert _eventually(lambda: backend.pid == 0)


def test_a_job_cancelled_at_its_end_is_cancelled_and_not_empty(shared):
    """The process is done before the wish to stop reaches it. Seen before: the events ended without draft or error."""
    came = []
    events = shared.generate(job(), None, lambda: len(came) == STEPS)
    came += itertools.islice(events, STEPS)
    with pytest.raises(Cancelled):
        next(events)


def test_cancelling_reaches_the_process(started):
    backend = started(step_ms="200")
    gone = threading.Event()
    events = backend.generate(job(), None, gone.is_set)
    next(events)
    pid = backend.pid
    gone.set()
    with pytest.raises(Cancelled):
        list(events)
    assert backend.pid == pid  # it stopped by itself


def test_it_ends_with_the_server(started):
    backend = started()
    pid = backend.pid
    backend.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.AUDIO])
def test_a_kill_in_the_middle_of_a_request_releases_nothing_and_the_next_one_works(tmp_path, modality):
    from gensafe.core import ids
    from gensafe.core.types import GenerationRequest

    engine = EngineConfig(name="one", backend="simulator", options={"step_ms": "300"})

    def request():
        return GenerationRequest(ids.new_request_id(), "hello", modality)

    with open_chain(Config(data_dir=str(tmp_path), engines=(engine,))) as chain:
        backend = next(iter(chain.engines)).backend
        events = run(chain, request(), CallControl())
        next(events)  # accepted
        next(events)  # the first step of eight
        os.kill(backend.pid, signal.SIGKILL)
        with pytest.raises(BackendUnavailable):
            list(events)
        last = [e.entry for e in chain.log.entries()][-1]
        assert last["event"] == "generation.failed" and last["reason"] == "BACKEND_UNAVAILABLE"
        assert any(isinstance(e, Released) for e in run(chain, request(), CallControl()))
        assert not list(chain.registry.open_intents())


def _eventually(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False
