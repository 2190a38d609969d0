"""The registry: from a payload, digest, manifest label or fingerprint back to the record of an output.

It is a convenience, not a proof: what it says is checked against the manifest's signature and the log. It may lose
copies (retention, erasure) without the log losing anything.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gensafe.core.clock import SystemClock
from gensafe.core.errors import RegistryError
from gensafe.core.ports import Clock
from gensafe.core.types import RequestKey
from gensafe.keys import KeyEncryptionKey
from gensafe.registry.blobs import BlobFolder, digest_of
from gensafe.registry.database import Database, open_database
from gensafe.registry.holds import HoldTable
from gensafe.registry.intents import IntentTable, close
from gensafe.registry.model import IntentState, Record
from gensafe.registry.orders import Orders
from gensafe.registry.records import RecordTable, insert
from gensafe.registry.reviews import Reviews
from gensafe.registry.tables import intents, records, reviews
from gensafe.registry.vault import Vault


class Registry(RecordTable, IntentTable, HoldTable):
    """Records, intents, holds, blobs and the vault of one data folder. Safe between threads and processes.

    Open with ``Registry.open``.
    """

    def __init__(self, db: Database, blobs: BlobFolder, vault: Vault, clock: Clock) -> None:
        RecordTable.__init__(self, db, blobs)
        IntentTable.__init__(self, db, clock)
        HoldTable.__init__(self, db, clock)
        self._vault = vault
        self.reviews = Reviews(db, clock)
        self.orders = Orders(db, clock)

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
        db = open_database(directory, url=url, readonly=readonly)
        return Registry(db, BlobFolder(directory / "blobs"), Vault(db, kek), clock or SystemClock())

    # --- a released output ---

    def put_released(self, record: Record) -> None:
        """Store the record of a released output and close its intent, both or neither. Doing it twice changes nothing.

        Raises:
            RegistryUnavailable: not stored.
            RegistryError: another record has its id or request, or the request is not open.
        """
        known = sa.select(records.c.record_id).where(
            records.c.record_id == record.record_id, records.c.log_index == record.log_index
        )

        def both(connection: sa.Connection) -> None:
            if connection.execute(known).first() is None:
                insert(connection, record)
            close(connection, RequestKey(record.tenant, record.request_id), IntentState.RELEASED, record.log_index)

        try:
            self._db.write("store a released output", both)
        except IntegrityError:
            raise RegistryError("a record of this id or request exists already", field="record_id") from None

    # --- what it says about the log ---

    def newest_index(self) -> int:
        """The highest log index that anything here points to; -1 for none."""
        columns = (intents.c.opened_index, intents.c.final_index, records.c.log_index, reviews.c.held_index)
        with self._db.reading("read log indices") as connection:
            found = [connection.execute(sa.select(sa.func.max(column))).scalar() for column in columns]
        return max((int(index) for index in found if index is not None), default=-1)

    def leaves(self, *, newest_only: bool = False) -> list[tuple[int, str]]:
        """(log index, hex of the leaf hash) of the records, newest first."""
        query = sa.select(records.c.log_index, records.c.leaf_hash).order_by(records.c.log_index.desc())
        with self._db.reading("read leaf hashes") as connection:
            rows = connection.execute(query.limit(1) if newest_only else query).all()
        return [(row.log_index, row.leaf_hash) for row in rows]

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
        data = self._vault.unseal_blob(digest, kept)
        if digest_of(data) != digest:
            raise RegistryError("a stored blob does not match its digest")
        return data

    def drop_blob(self, digest: str) -> bool:
        """Remove a blob that nothing refers to any more; False if there was none."""
        return self._blobs.delete(digest)

    # --- prompts and erasure ---

    def pseudonym(self, subject: str) -> str:
        """The stand-in for a subject used in tables, holds and tombstones."""
        return self._vault.pseudonym(subject)

    def seal_prompt(self, record_id: int, subject: str, prompt: str) -> str:
        """Keep a prompt sealed under its subject's key; returns the commitment "hmac-sha256:<hex>" for the log."""
        return self._vault.seal_prompt(record_id, subject, prompt, self._clock.now_ms())

    def open_prompt(self, record_id: int) -> tuple[str, bytes] | None:
        """(prompt, commitment key), or None if it was never kept or was erased."""
        return self._vault.open_prompt(record_id)

    def erase_subject(self, subject: str) -> dict[str, int]:
        """Destroy a subject's key and everything sealed under it. Log a tombstone with the counts this returns.

        Raises:
            RegistryError: a legal hold covers the subject.
        """
        return self.erase_pseudonym(self.pseudonym(subject))

    def kept_of(self, subject: str) -> dict[str, int]:
        """What ``erase_subject`` would erase now."""
        return self._vault.kept_of(self.pseudonym(subject))

    def erase_pseudonym(self, who: str) -> dict[str, int]:
        """``erase_subject`` by pseudonym."""
        blocking = self._covering(who)
        if blocking:
            raise RegistryError(f"legal hold {blocking[0].hold_id} forbids erasing", fix="release the hold first")
        count, blobs = self._vault.erase(who, self._clock.now_ms())
        return {"prompts": count, "blobs": sum(self._blobs.delete(digest) for digest in blobs)}

    def rewrap(self, new_kek: KeyEncryptionKey) -> int:
        """Wrap all subject keys under a new key-encryption key; returns how many."""
        return self._vault.rewrap(new_kek)

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
