"""Records of released outputs: stored once, found by id, digest, manifest label or likeness."""

from __future__ import annotations

import heapq
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gensafe.core.errors import RegistryError
from gensafe.core.types import Modality
from gensafe.registry.blobs import BlobFolder
from gensafe.registry.database import Database
from gensafe.registry.model import Record
from gensafe.registry.tables import records

NEAREST_LIMIT: Final = 5  # candidates shown to a person; chosen by eye, not measured


class RecordTable:
    """The records part of a registry. Safe between threads and processes.

    Args:
        db: The registry's database.
        blobs: Says which manifests and outputs are still kept.
    """

    def __init__(self, db: Database, blobs: BlobFolder) -> None:
        self._db = db
        self._blobs = blobs
        self._prints: dict[Modality, list[tuple[int, dict[str, str]]]] = {}
        self._prints_lock = threading.Lock()

    def put(self, record: Record) -> None:
        """Store a record; ``has_manifest`` and ``has_output`` are ignored.

        Raises:
            RegistryError: a record of that id or request exists, or it could not be stored.
        """
        try:
            self._db.write("store a record", lambda connection: insert(connection, record))
        except IntegrityError:
            raise RegistryError("a record of this id or request exists already", field="record_id") from None

    def by_record_id(self, record_id: int) -> Record | None:
        """The record of a watermark's record id."""
        return self._one(records.c.record_id == record_id)

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
        with self._db.reading("read records") as connection:
            return [self._record(row) for row in connection.execute(query).mappings()]

    def _one(self, where: sa.ColumnElement[bool]) -> Record | None:
        query = sa.select(records).where(where).order_by(records.c.created_ms.desc()).limit(1)
        with self._db.reading("read records") as connection:
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
            with self._db.reading("read fingerprints") as connection:
                total = connection.execute(
                    sa.select(sa.func.count()).select_from(records).where(records.c.modality == modality.value)
                ).scalar_one()
                if total != len(known):
                    known[:] = [(row[0], json.loads(row[1])) for row in connection.execute(query).all()]
            return list(known)


def insert(connection: sa.Connection, record: Record) -> None:
    """Store a record in the caller's transaction."""
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
    connection.execute(sa.insert(records).values(**row))


def _threshold(value: object, modality: Modality) -> float:
    """The fingerprint module states one threshold, or one per modality."""
    return float(value[modality] if isinstance(value, Mapping) else value)  # type: ignore[arg-type]
