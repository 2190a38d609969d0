"""What a start logs: with what it runs, what changed since the last start, and which filters were left down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from gensafe import __version__
from gensafe.audit import AuditLog, entries
from gensafe.audit.history import LastRun, last_run
from gensafe.core.canonical import canonical_json
from gensafe.core.config import Config, redacted
from gensafe.core.digest import sha256
from gensafe.core.errors import GensafeError
from gensafe.core.types import ClassifierId, Modality
from gensafe.pipeline.chain import Chain, coverage_of
from gensafe.registry import Registry
from gensafe.safety.health import FilterChange

OWNER: Final = "gensafe:operator"  # whose key seals the kept configuration: it may name folders and hosts
UNKNOWN: Final = "unknown"  # stands for the changed keys where the old configuration is not kept any more


def log_start(chain: Chain) -> None:
    """Log what this start runs with.

    1. What changed in the configuration; 2. the start, and the commitment to a new watermark key; 3. outages that the
    last run left open; 4. listen for more.

    Raises:
        LogUnavailable: nothing may be served.
    """
    before = last_run(chain.log)
    body = configuration(chain.config)
    _log_configuration(chain, before, body)  # 1.
    runner = chain.policy.runner
    chain.log.append(  # 2.
        entries.service_started(
            version=__version__,
            config_digest=sha256(body),
            policy_digest=runner.policy.digest,
            environment=chain.config.environment,
            coverage=coverage_of(runner),
        )
    )
    chain.marker.epoch_now()  # commits to its key where that is not done yet
    health = chain.policy.health  # 4. before 3.: what is carried over is said through it
    health.report = lambda change: report(chain.log, change)
    for name, entry in before.outages.items():  # 3.
        identity = ClassifierId(name, str(entry.get("version", "")), str(entry.get("weights", "")))
        modality = Modality(entry.get("modality", Modality.TEXT.value))
        health.carry_over(identity, modality, int(entry.get("since_ms", 0)))
    health.keep(runner.asked())


def configuration(config: Config) -> bytes:
    """The effective configuration without secrets and without where the data lies, as canonical JSON."""
    plain = {name: value for name, value in redacted(config).items() if name != "data_dir"}
    return canonical_json(_without_floats(plain))


def report(log: AuditLog, change: FilterChange) -> Future[Any]:
    """Hand a filter's outage or recovery to the log without waiting for it."""
    return log.submit(
        entries.filter_outage(
            entries.FILTER_UNAVAILABLE if change.down else entries.FILTER_RESTORED,
            classifier=change.classifier.name,
            since_ms=change.since_ms,
            refused=change.refused,
            modality=change.modality.value,
            version=change.classifier.version,
            weights=change.classifier.weights_digest,
            reason=change.reason,
        )
    )


def _log_configuration(chain: Chain, before: LastRun, body: bytes) -> None:
    digest = sha256(body)
    old = str(before.started.get("config", "")) if before.started else ""
    if old == digest:
        return
    if old:
        changed = changed_keys(_kept(chain.registry, old), body)
        chain.log.append(entries.config_changed(old_digest=old, new_digest=digest, changed=changed))
    chain.registry.put_blob(body, owner=chain.registry.pseudonym(OWNER))


def _kept(registry: Registry, digest: str) -> bytes | None:
    try:
        return registry.get_blob(digest)
    except GensafeError:  # erased, or sealed under a key that is gone
        return None


def changed_keys(old: bytes | None, new: bytes) -> tuple[str, ...]:
    """Dotted names of the keys whose values differ between two configurations."""
    if old is None:
        return (UNKNOWN,)
    before, after = _flat(json.loads(old)), _flat(json.loads(new))
    return tuple(sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k)))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, item in value.items():
        found |= _flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {f"{prefix}{key}": item}
    return found


def _without_floats(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_floats(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_floats(one) for one in value]
    return str(value) if isinstance(value, float) else value
