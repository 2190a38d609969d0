"""Many requests at once: all are served, and log and registry say the same afterwards.

Before the registry had one writer: INTERNAL "database is locked" at 16 at a time on a loaded machine.
"""

from __future__ import annotations

import asyncio

from benchmarks.serving.burst import PROSE, burst, contradictions, patient_policy


def test_sixteen_at_a_time_are_all_served(start_server, write_config, tmp_path):
    limits = {"max_concurrent": 16, "max_queued": 64}
    config = write_config(tmp_path, server=limits, options={"text": PROSE})
    config.write_text(f'{config.read_text()}[safety]\ntimeout_s = 600\npolicy = "{patient_policy(tmp_path)}"\n')
    server = start_server("--config", str(config))
    outcomes = asyncio.run(burst(server.address, ["text"] * 24 + ["audio"] * 8, call_s=3000))
    assert outcomes == {"completed": 32}
    assert server.stop() == 0
    assert contradictions(server.data_dir) == []
