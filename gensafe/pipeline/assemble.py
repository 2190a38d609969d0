"""Open a chain from a configuration: keys, log, registry, policy, backend, watermarks. The only place that wires."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gensafe.audit import AuditLog, entries
from gensafe.core import plugins
from gensafe.core.clock import SystemClock
from gensafe.core.config import Config
from gensafe.core.errors import GensafeError
from gensafe.core.observer import Observer, unobserved
from gensafe.core.ports import SamplingWatermark, TextTokenizer, Watermarker
from gensafe.core.storage import make_private_folder
from gensafe.core.types import Modality
from gensafe.engines import open_engines
from gensafe.keys import KeyInfo, KeyRing
from gensafe.marking import Marker
from gensafe.pipeline.agreement import check_agreement, restore_lost_intents
from gensafe.pipeline.chain import Chain, no_fault
from gensafe.pipeline.labels import write_metadata_labels
from gensafe.pipeline.ledger import Ledger
from gensafe.pipeline.recovery import recover
from gensafe.pipeline.review import carry_out_decisions
from gensafe.pipeline.signing import Signing
from gensafe.pipeline.starting import log_start
from gensafe.registry import Registry
from gensafe.safety.reload import PolicyFile

logger = logging.getLogger("gensafe.pipeline")

PASSPHRASE_VARIABLE = "GENSAFE_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable, not a secret


def open_chain(
    config: Config, *, fault_point: Callable[[str], None] = no_fault, observe: Observer = unobserved
) -> Chain:
    """Open everything, recover from a crash, and log what this process runs with.

    Raises:
        GensafeError: whatever part cannot be opened; nothing is served without all of them.
    """
    clock = SystemClock()
    data_dir = Path(config.data_dir)
    keys = open_keys(config)
    engines = open_engines(config)
    policy_path = Path(config.safety.policy) if config.safety.policy else None
    policy = PolicyFile(policy_path, config.safety.timeout_s, environment=config.environment)
    policy.health.observe = observe
    signing = Signing(config, keys, clock)
    registry = open_registry(keys, data_dir)
    log = AuditLog.open(
        data_dir / "log",
        origin=keys.origin,
        key=keys.checkpoint_private_key(),
        clock=clock,
        previous_keys=keys.checkpoint_public_keys(),
    )
    watermarkers: dict[Modality, Watermarker] = {
        Modality.IMAGE: plugins.load("gensafe.watermarks", "image", config.watermark.image),
        Modality.AUDIO: plugins.load("gensafe.watermarks", "audio", config.watermark.audio),
        Modality.VIDEO: plugins.load("gensafe.watermarks", "video", config.watermark.video),
    }
    text_scheme: SamplingWatermark = plugins.load("gensafe.watermarks", "text", config.watermark.text)
    chain = Chain(
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
            epoch=keys.current_epoch,
            label=lambda judged, data, kind: write_metadata_labels(config, clock.now_ms(), judged, data, kind),
        ),
        signing=signing,
        ledger=Ledger(log, registry),
        fault_point=fault_point,
        observe=observe,
    )
    try:
        check_agreement(log, registry)
        restored = restore_lost_intents(log, registry)
        if restored:
            logger.warning("the registry was older than the log: %d requests restored from the log", restored)
        recover(chain)
        log_start(chain)
        carry_out_decisions(chain)
    except BaseException:
        chain.close()
        raise
    return chain


def open_keys(config: Config) -> KeyRing:
    """Open the key ring of the data directory, making what may be made."""
    with suppress(OSError):  # the key ring says what is wrong
        make_private_folder(Path(config.data_dir))
    return KeyRing.open(
        Path(config.data_dir) / "keys",
        environment=config.environment,
        passphrase=key_passphrase(),
        origin=config.audit.origin,
    )


def key_passphrase() -> bytes | None:
    """The passphrase that seals keys at rest, from the environment; None = they are not sealed."""
    return os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None


def text_tokenizers(config: Config) -> tuple[TextTokenizer, ...]:
    """The tokenizers of the configured engines' texts, for detecting text marks; none where they cannot be loaded."""
    try:
        return open_engines(config, isolated=False).tokenizers()
    except GensafeError:
        return ()


def open_registry(keys: KeyRing, data_dir: Path) -> Registry:
    """Open the registry of the data directory."""
    return Registry.open(data_dir / "registry", kek=keys.kek())


def log_key_change(config: Config, keys: KeyRing, changed: KeyInfo, reason: str) -> int:
    """Log that a key changed; returns the entry's index."""
    with AuditLog.open(
        Path(config.data_dir) / "log",
        origin=keys.origin,
        key=keys.checkpoint_private_key(),
        previous_keys=keys.checkpoint_public_keys(),
    ) as log:
        entry = entries.key_rotated(role=changed.role.value, old="", new=changed.key_id, reason=reason)
        return log.append(entry).index
