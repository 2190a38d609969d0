"""What a process of its own costs an engine, in milliseconds: first piece, each further piece, one 1080p picture."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from gensafe.core.ports import Backend
from gensafe.core.types import Draft, GenerationJob, GenerationRecord, Image, Modality
from gensafe.engines.process import ProcessBackend
from gensafe.engines.wire import Channel, event_out
from gensafe.testing.simulator import Simulator


def measure(count: int) -> dict[str, Any]:
    """Medians over ``count`` runs, in this process and in one of its own."""
    isolated = ProcessBackend("simulator", {})
    try:
        here, there = _text(Simulator({}), count), _text(isolated, count)
    finally:
        isolated.close()
    return {
        "first_piece_ms": {"here": here[0], "isolated": there[0]},
        "each_piece_ms": {"here": here[1], "isolated": there[1]},
        "picture_1080p_ms": _picture(count),
        "runs": count,
    }


def _text(backend: Backend, count: int) -> tuple[float, float]:
    first, each = [], []
    for seed in range(count + 1):
        times = [time.perf_counter()]
        for _ in backend.generate(GenerationJob("x", Modality.TEXT, (), seed, 160), None, lambda: False):
            times.append(time.perf_counter())
        if seed:  # the first warms up
            first.append(times[1] - times[0])
            each.append((times[-1] - times[1]) / (len(times) - 2))
    return _ms(first), _ms(each)


def _picture(count: int) -> float:
    """One frame through the socket and mapped again, both ends in this process."""
    import socket
    import threading

    left, right = socket.socketpair()
    sender, receiver = Channel(left), Channel(right)
    record = GenerationRecord("b", "m", "1", "", 1, 1, "")
    said, arrays = event_out(Draft(Image(np.zeros((1080, 1920, 3), np.uint8)), record))
    taken = []
    for _ in range(count + 1):
        began = time.perf_counter()
        thread = threading.Thread(target=sender.send, args=(said, arrays))
        thread.start()
        receiver.receive()
        thread.join()
        taken.append(time.perf_counter() - began)
    sender.close()
    receiver.close()
    return _ms(taken[1:])


def _ms(values: list[float]) -> float:
    return round(1000 * statistics.median(values), 3)
