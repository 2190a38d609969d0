"""The registry: from a payload, digest, manifest label or fingerprint back to the record of an output.

It is a convenience, not a proof: what it says is checked against the manifest's signature and the log. It may lose
copies (retention, erasure) without the log losing anything.
"""

from __future__ import annotations

import heapq
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gensafe.core.clock import SystemClock
from gensafe.core.errors import InvalidRequest, RegistryError
from gensafe.core.ports import Clock
from gensafe.core.types import Modality
from gensafe.keys import KeyEncryptionKey
from gensafe.registry.blobs import BlobFolder, digest_of
from gensafe.registry.model import Hold, Intent, IntentState, Record
from gensafe.registry.reviews import Reviews
from gensafe.registry.tables import holds, intents, open_engine, prompts, records, stored
from gensafe.registry.vault import Vault

NEAREST_LIMIT: Final = 5
ERASABLE_STATES: Final = (IntentState.BLOCKED, IntentState.CANCELLED, IntentState.FAILED, IntentState.ABORTED)


class Registry:
    """Records, intents, blobs and the vault of one data folder. Safe between threads and processes.

    Open with ``Registry.open``.
    """

    def __init__(self, engine: sa.Engine, blobs: BlobFolder, vault: Vault, clock: Clock) -> None:
        self._engine = engine
        self._blobs = blobs
        self._vault = vault
        self._clock = clock
        self.reviews = Reviews(engine, clock)
        self._prints: dict[Modality, list[tuple[int, dict[str, str]]]] = {}
        self._prints_lock = threading.Lock()

    @staticmethod
    def open(
        directory: Path,
        *,
        kek: KeyEncryptionKey | None = None,
        readonly: bool = False,
        url: str = "",
        clock: Clock | None = None,
    ) -> Registry:
        """Open the registry in ``directory``, making it unless ``readonly``.

        Args:
            directory: Holds ``registry.db`` and ``blobs/``.
            kek: Key-encryption key (``KeyRing.kek()``); without it prompts and sealed copies stay closed.
            readonly: Never write; there must be a registry.
            url: ``postgresql+pg8000://…`` for the tables (blobs stay in ``directory``).
            clock: Source of times.

        Raises:
            RegistryError: it cannot be opened.
        """
        engine = open_engine(directory, url=url, readonly=readonly)
        return Registry(engine, BlobFolder(directory / "blobs"), Vault(engine, kek), clock or SystemClock())

    # --- records ---

    def put(self, record: Record) -> None:
        """Store a record; ``has_manifest`` and ``has_output`` are ignored.

        Raises:
            RegistryError: a record of that id or request exists, or it could not be stored.
        """
        row = {
            "record_id": record.record_id,
            "request_id": record.request_id,
            "tenant": record.tenant,
            "modality": record.modality.value,
            "media_type": record.media_type,
            "digest": record.digest,
            "manifest_digest": record.manifest_digest,
            "manifest_label": record.manifest_label,
            "watermark_scheme": record.watermark_scheme,
            "watermark_payload": record.watermark_payload,
            "key_epoch": record.key_epoch,
            "fingerprint": json.dumps(dict(record.fingerprint), sort_keys=True),
            "log_index": record.log_index,
            "leaf_hash": record.leaf_hash,
            "created_ms": record.created_ms,
            "subject": record.subject,
            "extra": json.dumps(dict(record.extra), sort_keys=True),
        }
        try:
            with stored("store a record"), self._engine.begin() as connection:
                connection.execute(sa.insert(records).values(**row))
        except IntegrityError:
            raise RegistryError("a record of this id or request exists already", field="record_id") from None

    def by_record_id(self, record_id: int) -> Record | None:
        """The record of a watermark's record id."""
        return self._one(records.c.record_id == record_id)

    def by_request_id(self, request_id: str) -> Record | None:
        """The record a request led to."""
        return self._one(records.c.request_id == request_id)

    def by_digest(self, digest: str) -> Record | None:
        """The newest record whose final bytes have this digest."""
        return self._one(records.c.digest == digest)

    def by_manifest_label(self, label: str) -> Record | None:
        """The record of a manifest (urn:c2pa:...)."""
        return self._one(records.c.manifest_label == label)

    def nearest(
        self, fingerprint: Mapping[str, str], modality: Modality, limit: int = NEAREST_LIMIT
    ) -> list[tuple[Record, float]]:
        """The records whose fingerprints are at least as similar as ``MATCH_THRESHOLD``, most similar first.

        Compares with every fingerprint of the modality (kept in memory), so time grows with their number.
        """
        from gensafe.media.fingerprint import MATCH_THRESHOLD, similarity

        scored = ((similarity(fingerprint, known), record_id) for record_id, known in self._fingerprints(modality))
        best = heapq.nlargest(limit, (pair for pair in scored if pair[0] >= _threshold(MATCH_THRESHOLD, modality)))
        found = [(self.by_record_id(record_id), score) for score, record_id in best]
        return [(record, score) for record, score in found if record is not None]

    def records(self, *, tenant: str = "", limit: int = 100, before_ms: int | None = None) -> list[Record]:
        """Records, newest first."""
        query = sa.select(records).order_by(records.c.created_ms.desc()).limit(limit)
        if tenant:
            query = query.where(records.c.tenant == tenant)
        if before_ms is not None:
            query = query.where(records.c.created_ms < before_ms)
        with stored("read records"), self._engine.connect() as connection:
            return [self._record(row) for row in connection.execute(query).mappings()]

    # --- blobs ---

    def put_blob(self, data: bytes, *, subject: str = "") -> str:
        """Keep bytes durably and return their digest; with ``subject`` they are sealed and can be erased with it.

        Raises:
            RegistryError: not stored.
        """
        digest = digest_of(data)
        if subject:
            if self._blobs.has(digest) and not self._vault.owner(digest):
                return digest  # the same bytes are kept in the clear already
            with stored("seal a blob"):
                data = self._vault.seal_blob(digest, subject, data)
            self._blobs.delete(digest)
        self._blobs.write(digest, data)
        return digest

    def get_blob(self, digest: str) -> bytes | None:
        """The bytes of ``digest``; None if they are not kept (any more).

        Raises:
            RegistryError: the stored bytes are not those of the digest, or they are sealed and cannot be opened.
        """
        kept = self._blobs.read(digest)
        if kept is None:
            return None
        with stored("open a blob"):
            data = self._vault.unseal_blob(digest, kept)
        if digest_of(data) != digest:
            raise RegistryError("a stored blob does not match its digest")
        return data

    def drop_blob(self, digest: str) -> bool:
        """Remove a blob that nothing refers to any more; False if there was none."""
        return self._blobs.delete(digest)

    # --- intents ---

    def open_intent(
        self,
        request_id: str,
        request_digest: str,
        tenant: str,
        record_id: int,
        opened_index: int = -1,
        modality: str = "",
    ) -> tuple[Intent, bool]:
        """Claim a request id. Returns (intent, True) if it is new, (the existing intent, False) on a replay.

        Call it before logging ``generation.opened`` and ``mark_opened`` after: then two racing requests of one id
        cannot both run, and recovery knows of every request that may have begun.

        Raises:
            InvalidRequest: the id was used for another request, or by another tenant.
        """
        row: dict[str, Any] = {
            "request_id": request_id,
            "request_digest": request_digest,
            "tenant": tenant,
            "record_id": record_id,
            "modality": modality,
            "opened_index": opened_index,
            "state": IntentState.OPEN.value,
            "final_index": -1,
            "created_ms": self._clock.now_ms(),
        }
        try:
            with stored("open an intent"), self._engine.begin() as connection:
                connection.execute(sa.insert(intents).values(**row))
        except IntegrityError:
            existing = self.intent(request_id)
            if existing is None or existing.request_digest != request_digest or existing.tenant != tenant:
                raise InvalidRequest(
                    "this request id was used for another request", field="request_id", fix="send a fresh UUID"
                ) from None
            return existing, False
        return _intent(row), True

    def reopen_intent(self, request_id: str, record_id: int) -> None:
        """Let a request that failed, was cancelled or was cut off run again under its id, as a new record.

        Raises:
            RegistryError: it is running, was blocked or was released.
        """
        again = (IntentState.FAILED.value, IntentState.CANCELLED.value, IntentState.ABORTED.value)
        query = sa.update(intents).where(intents.c.request_id == request_id, intents.c.state.in_(again))
        fresh = {"record_id": record_id, "opened_index": -1, "final_index": -1, "state": IntentState.OPEN.value}
        with stored("reopen an intent"), self._engine.begin() as connection:
            if connection.execute(query.values(**fresh, created_ms=self._clock.now_ms())).rowcount != 1:
                raise RegistryError(f"request {request_id} cannot run again")

    def mark_opened(self, request_id: str, opened_index: int) -> None:
        """Note where the log has the intent."""
        self._update_intent(request_id, {"opened_index": opened_index})

    def close_intent(self, request_id: str, state: IntentState | str, final_index: int) -> None:
        """Note how a request ended and where the log says so.

        Raises:
            RegistryError: no such open or held intent.
        """
        closed = {"state": IntentState(state).value, "final_index": final_index}
        self._update_intent(request_id, closed, only_in=(IntentState.OPEN, IntentState.HELD))

    def intent(self, request_id: str) -> Intent | None:
        """The intent of a request id."""
        with stored("read intents"), self._engine.connect() as connection:
            row = connection.execute(sa.select(intents).where(intents.c.request_id == request_id)).mappings().first()
        return None if row is None else _intent({**row})

    def open_intents(self) -> list[Intent]:
        """Requests that were begun and not closed: at start-up, those a crash cut off. Oldest first."""
        query = sa.select(intents).where(intents.c.state == IntentState.OPEN.value).order_by(intents.c.created_ms)
        with stored("read intents"), self._engine.connect() as connection:
            return [_intent({**row}) for row in connection.execute(query).mappings()]

    # --- prompts, erasure, holds ---

    def pseudonym(self, subject: str) -> str:
        """The stand-in for a subject used in tables, holds and tombstones."""
        with stored("read the vault"):
            return self._vault.pseudonym(subject)

    def seal_prompt(self, record_id: int, subject: str, prompt: str) -> str:
        """Keep a prompt sealed under its subject's key; returns the commitment "hmac-sha256:<hex>" for the log."""
        with stored("seal a prompt"):
            return self._vault.seal_prompt(record_id, subject, prompt, self._clock.now_ms())

    def open_prompt(self, record_id: int) -> tuple[str, bytes] | None:
        """(prompt, commitment key), or None if it was never kept or was erased."""
        with stored("open a prompt"):
            return self._vault.open_prompt(record_id)

    def erase_subject(self, subject: str) -> dict[str, int]:
        """Destroy a subject's key and everything sealed under it. Log a tombstone with the counts this returns.

        Raises:
            RegistryError: a legal hold covers the subject.
        """
        who = self.pseudonym(subject)
        blocking = [hold for hold in self.holds() if hold.scope in ("all", f"subject:{who}")]
        blocking += self._tenant_holds(who)
        if blocking:
            raise RegistryError(f"legal hold {blocking[0].hold_id} forbids erasing", fix="release the hold first")
        with stored("erase a subject"):
            count, blobs = self._vault.erase(who, self._clock.now_ms())
        return {"prompts": count, "blobs": sum(self._blobs.delete(digest) for digest in blobs)}

    def rewrap(self, new_kek: KeyEncryptionKey) -> int:
        """Wrap all subject keys under a new key-encryption key; returns how many."""
        with stored("wrap keys"):
            return self._vault.rewrap(new_kek)

    def set_hold(self, hold_id: str, scope: str) -> Hold:
        """Place a legal hold: ``all``, ``tenant:<tenant>`` or ``subject:<pseudonym>``.

        Raises:
            RegistryError: the id is taken or the scope is none of these.
        """
        kind, _, name = scope.partition(":")
        if scope != "all" and not (kind in ("tenant", "subject") and name):
            raise RegistryError("a hold covers all, tenant:<tenant> or subject:<pseudonym>", field="scope")
        hold = Hold(hold_id, scope, self._clock.now_ms())
        try:
            with stored("place a hold"), self._engine.begin() as connection:
                row = {"hold_id": hold_id, "scope": scope, "created_ms": hold.created_ms}
                connection.execute(sa.insert(holds).values(**row))
        except IntegrityError:
            raise RegistryError(f"there is a hold {hold_id} already", field="hold_id") from None
        return hold

    def release_hold(self, hold_id: str) -> Hold:
        """Lift a legal hold.

        Raises:
            RegistryError: there is none of that id.
        """
        found = [hold for hold in self.holds() if hold.hold_id == hold_id]
        if not found:
            raise RegistryError(f"there is no hold {hold_id}", field="hold_id")
        with stored("lift a hold"), self._engine.begin() as connection:
            connection.execute(sa.delete(holds).where(holds.c.hold_id == hold_id))
        return found[0]

    def holds(self) -> list[Hold]:
        """The holds in force, oldest first."""
        with stored("read holds"), self._engine.connect() as connection:
            rows = connection.execute(sa.select(holds).order_by(holds.c.created_ms, holds.c.hold_id)).all()
        return [Hold(row.hold_id, row.scope, row.created_ms) for row in rows]

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- inner ---

    def _one(self, where: sa.ColumnElement[bool]) -> Record | None:
        query = sa.select(records).where(where).order_by(records.c.created_ms.desc()).limit(1)
        with stored("read records"), self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else self._record(row)

    def _record(self, row: sa.RowMapping) -> Record:
        values: dict[str, Any] = {**row}
        values["modality"] = Modality(values["modality"])
        values["watermark_payload"] = bytes(values["watermark_payload"])
        values["fingerprint"] = json.loads(values["fingerprint"])
        values["extra"] = json.loads(values["extra"])
        record = Record(**values)
        return replace(
            record, has_manifest=self._blobs.has(record.manifest_digest), has_output=self._blobs.has(record.digest)
        )

    def _fingerprints(self, modality: Modality) -> list[tuple[int, dict[str, str]]]:
        """All (record id, fingerprint) of a modality; only rows that are new since the last call are read."""
        with self._prints_lock:
            known = self._prints.setdefault(modality, [])
            query = sa.select(records.c.record_id, records.c.fingerprint).where(records.c.modality == modality.value)
            with stored("read fingerprints"), self._engine.connect() as connection:
                total = connection.execute(
                    sa.select(sa.func.count()).select_from(records).where(records.c.modality == modality.value)
                ).scalar_one()
                if total != len(known):
                    known[:] = [(row[0], json.loads(row[1])) for row in connection.execute(query).all()]
            return list(known)

    def _update_intent(
        self, request_id: str, values: dict[str, Any], *, only_in: tuple[IntentState, ...] = tuple(IntentState)
    ) -> None:
        query = sa.update(intents).where(intents.c.request_id == request_id)
        query = query.where(intents.c.state.in_([state.value for state in only_in]))
        with stored("update an intent"), self._engine.begin() as connection:
            if connection.execute(query.values(**values)).rowcount != 1:
                raise RegistryError(f"request {request_id} has no open intent")

    def _tenant_holds(self, who: str) -> list[Hold]:
        tenants = {h.scope[7:]: h for h in self.holds() if h.scope.startswith("tenant:")}
        if not tenants:
            return []
        query = sa.select(intents.c.tenant).join(prompts, prompts.c.record_id == intents.c.record_id)
        with stored("read holds"), self._engine.connect() as connection:
            found = connection.execute(query.where(prompts.c.subject == who).distinct()).scalars().all()
        return [tenants[tenant] for tenant in found if tenant in tenants]


def _threshold(value: object, modality: Modality) -> float:
    """The fingerprint module states one threshold, or one per modality."""
    return float(value[modality] if isinstance(value, Mapping) else value)  # type: ignore[arg-type]


def _intent(row: Mapping[str, Any]) -> Intent:
    return Intent(**{**row, "state": IntentState(row["state"])})
