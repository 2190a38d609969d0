"""The registry: from a payload, digest, manifest label or fingerprint back to the record of an output.

It is a convenience, not a proof: what it says is checked against the manifest's signature and the log. It may lose
copies (retention, erasure) without the log losing anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gensafe.core.clock import SystemClock
from gensafe.core.errors import RegistryError, RegistryRefused
from gensafe.core.ports import Clock
from gensafe.core.types import RequestKey
from gensafe.keys import KeyEncryptionKey
from gensafe.registry.acts import DeskActs
from gensafe.registry.api_keys import ApiKeyTable
from gensafe.registry.blobs import BlobFolder, digest_of
from gensafe.registry.cases import Cases
from gensafe.registry.database import Database, open_database
from gensafe.registry.end_users import EndUsers, owner_name
from gensafe.registry.holds import HoldTable
from gensafe.registry.intents import IntentTable, close
from gensafe.registry.jobs import JobTable
from gensafe.registry.model import Hold, IntentState, Record
from gensafe.registry.orders import Orders
from gensafe.registry.records import RecordTable, insert
from gensafe.registry.reviews import Reviews
from gensafe.registry.tables import intents, records, reviews
from gensafe.registry.usage import UsageTable
from gensafe.registry.vault import Vault
from gensafe.registry.webhooks import WebhookTable


class Registry(RecordTable, IntentTable, HoldTable):
    """Records, intents, holds, blobs and the vault of one data folder. Safe between threads and processes.

    Open with ``Registry.open``.
    """

    def __init__(self, db: Database, blobs: BlobFolder, vault: Vault, clock: Clock) -> None:
        RecordTable.__init__(self, db, blobs)
        IntentTable.__init__(self, db, clock)
        HoldTable.__init__(self, db, clock)
        self._vault = vault
        self._end_users = EndUsers(db)
        self.reviews = Reviews(db, clock)
        self.orders = Orders(db, clock)
        self.acts = DeskActs(db, clock)
        self.cases = Cases(db, clock)
        self.api_keys = ApiKeyTable(db, clock)
        self.usage = UsageTable(db, clock)
        self.jobs = JobTable(db)
        self.webhooks = WebhookTable(db)

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

    def put_blob(self, data: bytes, *, owner: str = "") -> str:
        """Keep bytes durably and return their digest; with ``owner``, a pseudonym, they are sealed and can be erased.

        Raises:
            RegistryError: not stored.
        """
        digest = digest_of(data)
        if owner:
            if self._blobs.has(digest) and not self._vault.owner(digest):
                return digest  # the same bytes are kept in the clear already
            data = self._vault.seal_blob(digest, owner, data)
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
        """The stand-in for a subject (of an end user: ``owner_name``) used in tables, holds and tombstones."""
        return self._vault.pseudonym(subject)

    def keyed_digest(self, what: str, data: bytes) -> str:
        """A digest of ``data`` that nobody without this registry's key can try guesses against."""
        return self._vault.keyed_digest(what, data)

    def hold_name(self, hold_id: str) -> str:
        """What the log calls a legal hold: its name is the operator's own words, and may name a person."""
        return self.pseudonym(f"hold:{hold_id}")

    def commit_end_user(self, tenant: str, subject: str) -> str:
        """The commitment "hmac-sha256:<hex>" by which log and records name an end user of ``tenant``; "" for none.

        Erasing the end user destroys its key: nobody can then tell whom the commitment meant.

        Raises:
            InvalidRequest: ``subject`` cannot name anybody.
        """
        name = owner_name(tenant, subject)
        if name == tenant:
            return ""
        who = self.pseudonym(name)
        self._end_users.note(who, tenant)
        return self._vault.commitment(who)

    def commitment_of(self, who: str) -> str:
        """The commitment of a pseudonym for which something is kept."""
        return self._vault.commitment(who)

    def owners_of(self, tenant: str) -> list[str]:
        """Pseudonyms of a tenant and of all its end users."""
        return [self.pseudonym(tenant), *self._end_users.of(tenant)]

    def seal_prompt(self, record_id: int, subject: str, prompt: str) -> str:
        """Keep a prompt sealed under its subject's key; returns the commitment "hmac-sha256:<hex>" for the log."""
        return self._vault.seal_prompt(record_id, subject, prompt, self._clock.now_ms())

    def open_prompt(self, record_id: int) -> tuple[str, bytes] | None:
        """(prompt, commitment key), or None if it was never kept or was erased."""
        return self._vault.open_prompt(record_id)

    def erase_subject(self, subject: str) -> dict[str, int]:
        """Destroy a subject's key and everything sealed under it. Log a tombstone with the counts this returns.

        Raises:
            RegistryRefused: a legal hold covers the subject.
        """
        return self.erase_owners([self.pseudonym(subject)])

    def kept_of(self, owners: Sequence[str]) -> dict[str, int]:
        """What ``erase_owners`` would erase now."""
        counts = [self._vault.kept_of(who) for who in owners]
        return {name: sum(count[name] for count in counts) for name in ("prompts", "blobs")}

    def knows(self, owners: Sequence[str]) -> bool:
        """Whether one of the pseudonyms has a key to destroy, also where nothing is sealed under it."""
        return any(self._vault.has_key(who) for who in owners)

    def erase_owners(self, owners: Sequence[str]) -> dict[str, int]:
        """``erase_subject`` for pseudonyms, all of them or, under a legal hold on one, none."""
        blocking = [hold for who in owners for hold in self._forbidding(who)]
        if blocking:
            raise RegistryRefused(f"legal hold {blocking[0].hold_id} forbids erasing", fix="release the hold first")
        done = [self._vault.erase(who, self._clock.now_ms()) for who in owners]
        gone = sum(self._blobs.delete(digest) for _, blobs in done for digest in blobs)
        return {"prompts": sum(count for count, _ in done), "blobs": gone}

    def _forbidding(self, who: str) -> list[Hold]:
        tenant = self._end_users.tenant_of(who)
        scopes = (f"tenant:{tenant}", f"subject:{self.pseudonym(tenant)}") if tenant else ()
        return self._covering(who) + [hold for hold in self.holds() if hold.scope in scopes]

    @property
    def kek_id(self) -> str:
        """Id of the key-encryption key in use; "" = opened without one."""
        return self._vault.kek_id

    def wrapped_under(self) -> dict[str, int]:
        """How many keys are wrapped under which key-encryption key, by its id."""
        return self._vault.wrapped_under()

    def rewrap(self, new_kek: KeyEncryptionKey) -> int:
        """Wrap all subject keys under a new key-encryption key and use it from now on; returns how many subjects."""
        return self._vault.rewrap(new_kek)

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
