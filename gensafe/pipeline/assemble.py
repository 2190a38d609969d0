"""Open a chain from a configuration: keys, log, registry, policy, backend, watermarks. The only place that wires."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from gensafe.core import plugins
from gensafe.core.clock import SystemClock
from gensafe.core.config import Config
from gensafe.core.observer import Observer, unobserved
from gensafe.core.ports import SamplingWatermark, Watermarker
from gensafe.core.types import Modality
from gensafe.engines import open_engines
from gensafe.installation import Installation
from gensafe.marking import Marker
from gensafe.pipeline.agreement import check_agreement, restore_lost_intents
from gensafe.pipeline.chain import Chain, no_fault
from gensafe.pipeline.epochs import Epochs
from gensafe.pipeline.labels import write_metadata_labels
from gensafe.pipeline.ledger import Ledger
from gensafe.pipeline.metering import Meter
from gensafe.pipeline.recovery import recover
from gensafe.pipeline.review import carry_out_decisions
from gensafe.pipeline.signing import Signing
from gensafe.pipeline.starting import log_start
from gensafe.safety.reload import PolicyFile

logger = logging.getLogger("gensafe.pipeline")


def open_chain(
    config: Config, *, fault_point: Callable[[str], None] = no_fault, observe: Observer = unobserved
) -> Chain:
    """Open everything, recover from a crash, and log what this process runs with.

    Raises:
        GensafeError: whatever part cannot be opened; nothing is served without all of them.
    """
    with ExitStack() as opened:  # closed again, last first, where a later part cannot be opened
        chain = _opened(config, opened, fault_point, observe)
        opened.pop_all()
    try:
        check_agreement(chain.log, chain.registry)
        restored = restore_lost_intents(chain.log, chain.registry)
        if restored:
            logger.warning("the registry was older than the log: %d requests restored from the log", restored)
        recover(chain)
        log_start(chain)
        carry_out_decisions(chain)
    except BaseException:
        chain.close()
        raise
    return chain


def _opened(config: Config, opened: ExitStack, fault_point: Callable[[str], None], observe: Observer) -> Chain:
    """The parts, each noted in ``opened`` as it is opened."""
    clock = SystemClock()
    home = Installation(config)
    keys = home.open_keys()
    engines = open_engines(config)
    opened.callback(engines.close)
    policy_path = Path(config.safety.policy) if config.safety.policy else None
    policy = PolicyFile(policy_path, config.safety.timeout_s, environment=config.environment)
    policy.health.observe = observe
    signing = Signing(config, keys, clock)
    registry = home.open_registry(keys)
    opened.callback(registry.close)
    log = home.open_log(keys, clock)
    opened.callback(log.close)
    watermarkers: dict[Modality, Watermarker] = {
        Modality.IMAGE: plugins.load("gensafe.watermarks", "image", config.watermark.image),
        Modality.AUDIO: plugins.load("gensafe.watermarks", "audio", config.watermark.audio),
        Modality.VIDEO: plugins.load("gensafe.watermarks", "video", config.watermark.video),
    }
    text_scheme: SamplingWatermark = plugins.load("gensafe.watermarks", "text", config.watermark.text)
    return Chain(
        meter=Meter(config.usage),
        config=config,
        clock=clock,
        keys=keys,
        log=log,
        registry=registry,
        engines=engines,
        policy=policy,
        marker=Marker(
            watermarkers=watermarkers,
            text_scheme=text_scheme,
            key_for=keys.watermark_key,
            epoch_now=Epochs(keys, log, config.watermark.disclose_days).current,
            label=lambda judged, data, kind: write_metadata_labels(config, clock.now_ms(), judged, data, kind),
        ),
        signing=signing,
        ledger=Ledger(log, registry),
        fault_point=fault_point,
        observe=observe,
    )
