"""What may be erased: prompts, commitment keys and copies of outputs, sealed under one key per subject.

A subject (a user, a tenant) appears only as a pseudonym. Its 256-bit data key is wrapped by the key-encryption key
(KEK); destroying the wrapped key makes everything sealed under it unreadable, also in old backups, while the log and
its proofs stay as they are. AES-256-GCM throughout (NIST SP 800-38D), 96-bit random nonces.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections import Counter
from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.exc import IntegrityError

from gensafe.core.digest import commit
from gensafe.core.errors import KeyError_, RegistryError
from gensafe.keys import KeyEncryptionKey
from gensafe.keys.kek import wrapped_by
from gensafe.registry.database import Database
from gensafe.registry.tables import prompts, sealed_blobs, secrets_table, subjects

_NONCE: Final = 12  # 96 bits: NIST SP 800-38D, section 8.2
_REF_KEY: Final = "subject-pseudonym-key"


class Vault:
    """Seals and erases. One per registry; safe between threads.

    Args:
        db: The registry's database.
        kek: Wraps data keys; None = nothing can be sealed or opened.
    """

    def __init__(self, db: Database, kek: KeyEncryptionKey | None) -> None:
        self._db = db
        self._kek = kek
        self._making = threading.Lock()  # held while a data key is made, and while all are wrapped anew

    def pseudonym(self, subject: str) -> str:
        """The stand-in for ``subject`` (see ``owner_name``) in tables; the same one for the life of the registry."""
        return "s-" + hmac.new(self._ref_key(), subject.encode(), hashlib.sha256).hexdigest()[:24]

    def seal_prompt(self, record_id: int, subject: str, prompt: str, created_ms: int) -> str:
        """Keep a prompt sealed and return its keyed commitment for the log.

        Raises:
            RegistryError: no KEK, or the record has a prompt already.
        """
        key = secrets.token_bytes(32)
        who = self.pseudonym(subject)
        body = json.dumps({"key": key.hex(), "prompt": prompt}).encode()
        sealed = _seal(self._data_key(who), body, f"prompt:{record_id}")
        row = {"record_id": record_id, "subject": who, "sealed": sealed, "created_ms": created_ms}
        try:
            self._db.write("seal a prompt", lambda connection: connection.execute(sa.insert(prompts).values(**row)))
        except IntegrityError:
            raise RegistryError("the record has a prompt already", field="record_id") from None
        return commit(key, prompt.encode())

    def open_prompt(self, record_id: int) -> tuple[str, bytes] | None:
        """The prompt and its commitment key, or None if never kept or erased.

        Raises:
            RegistryError: no KEK, or the sealed bytes were altered.
        """
        with self._db.reading("read the vault") as connection:
            row = connection.execute(sa.select(prompts).where(prompts.c.record_id == record_id)).first()
        if row is None:
            return None
        body = json.loads(_unseal(self._data_key(row.subject), bytes(row.sealed), f"prompt:{record_id}"))
        return str(body["prompt"]), bytes.fromhex(body["key"])

    def keyed_digest(self, what: str, data: bytes) -> str:
        """A digest that nobody without this registry's key can try guesses against, "hmac-sha256:<hex>".

        ``what``: keeps digests for different uses apart.
        """
        info = f"gensafe/registry/v1/digest/{what}".encode()
        return commit(HKDF(SHA256(), 32, None, info).derive(self._ref_key()), data)

    def commitment(self, who: str) -> str:
        """What the log says of the pseudonym ``who``, "hmac-sha256:<hex>": under a key that erasing them destroys."""
        info = b"gensafe/registry/v1/subject-commitment"
        return commit(HKDF(SHA256(), 32, None, info).derive(self._data_key(who)), who.encode())

    def seal_blob(self, digest: str, who: str, data: bytes) -> bytes:
        """Seal a copy of an output for the pseudonym ``who`` and note whose it is."""
        sealed = _seal(self._data_key(who), data, digest)

        def note_owner(connection: sa.Connection) -> None:
            connection.execute(sa.delete(sealed_blobs).where(sealed_blobs.c.digest == digest))
            connection.execute(sa.insert(sealed_blobs).values(digest=digest, subject=who))

        self._db.write("seal a blob", note_owner)
        return sealed

    def unseal_blob(self, digest: str, stored: bytes) -> bytes:
        """Open a stored blob: as it is when it was never sealed.

        Raises:
            RegistryError: no KEK, erased, or altered.
        """
        with self._db.reading("read the vault") as connection:
            who = connection.execute(sa.select(sealed_blobs.c.subject).where(sealed_blobs.c.digest == digest)).scalar()
        return stored if who is None else _unseal(self._data_key(who), stored, digest)

    def owner(self, digest: str) -> str:
        """Pseudonym a blob is sealed for; "" if it is not sealed."""
        with self._db.reading("read the vault") as connection:
            who = connection.execute(sa.select(sealed_blobs.c.subject).where(sealed_blobs.c.digest == digest)).scalar()
        return str(who or "")

    def has_key(self, who: str) -> bool:
        """Whether the pseudonym ``who`` has a key: it was named since it was last erased."""
        row = self._subject(who)
        return row is not None and row.wrapped_key is not None

    def kept_of(self, who: str) -> dict[str, int]:
        """How many prompts and copies are sealed for the pseudonym ``who``."""
        with self._db.reading("count what is kept") as connection:
            counts = {
                name: connection.execute(
                    sa.select(sa.func.count()).select_from(table).where(table.c.subject == who)
                ).scalar_one()
                for name, table in (("prompts", prompts), ("blobs", sealed_blobs))
            }
        return {name: int(count) for name, count in counts.items()}

    def erase(self, who: str, now_ms: int) -> tuple[int, list[str]]:
        """Destroy the data key of the pseudonym ``who`` and what it sealed: (prompts erased, blobs to delete)."""

        def destroy(connection: sa.Connection) -> tuple[int, list[str]]:
            count = connection.execute(sa.delete(prompts).where(prompts.c.subject == who)).rowcount
            blobs = list(
                connection.execute(sa.select(sealed_blobs.c.digest).where(sealed_blobs.c.subject == who)).scalars()
            )
            connection.execute(sa.delete(sealed_blobs).where(sealed_blobs.c.subject == who))
            gone = {"wrapped_key": None, "erased_ms": now_ms}
            if not connection.execute(sa.update(subjects).where(subjects.c.subject == who).values(**gone)).rowcount:
                connection.execute(sa.insert(subjects).values(subject=who, **gone))
            return int(count), blobs

        erased = self._db.write("erase a subject", destroy)
        self._db.truncate_journal()
        return erased

    @property
    def kek_id(self) -> str:
        """Id of the key-encryption key in use; "" = none."""
        return self._kek.key_id if self._kek is not None else ""

    def wrapped_under(self) -> dict[str, int]:
        """Key-encryption key id -> how many keys are wrapped under it."""
        columns = (subjects.c.wrapped_key, secrets_table.c.wrapped)
        with self._db.reading("read wrapped keys") as connection:
            rows = [bytes(row[0]) for c in columns for row in connection.execute(sa.select(c).where(c.is_not(None)))]
        return dict(Counter(wrapped_by(row) for row in rows))

    def rewrap(self, new: KeyEncryptionKey) -> int:
        """Wrap every data key under ``new``, which may be a rotation of the old one; return how many subjects.

        A key that opens under neither stays as it is: it was lost before, with the key that wrapped it.
        """
        old = self._require_kek()

        def fresh(wrapped: bytes, name: str) -> bytes | None:
            for kek in (new, old):
                with suppress(KeyError_):
                    return new.wrap(kek.unwrap(wrapped, _context(name)), _context(name))
            return None

        def wrap_all(connection: sa.Connection) -> int:
            rows = connection.execute(sa.select(subjects).where(subjects.c.wrapped_key.is_not(None))).all()
            count = 0
            for row in rows:
                if moved := fresh(bytes(row.wrapped_key), row.subject):
                    query = sa.update(subjects).where(subjects.c.subject == row.subject)
                    connection.execute(query.values(wrapped_key=moved))
                    count += 1
            for name, wrapped in connection.execute(sa.select(secrets_table)).all():
                if moved := fresh(bytes(wrapped), name):
                    query = sa.update(secrets_table).where(secrets_table.c.name == name)
                    connection.execute(query.values(wrapped=moved))
            return count

        with self._making:  # no key is made under the old one meanwhile
            self._kek = new  # opens both; the old one does not open what is wrapped anew
            try:
                return self._db.write("wrap keys", wrap_all)
            except BaseException:
                self._kek = old
                raise

    def _require_kek(self) -> KeyEncryptionKey:
        if self._kek is None:
            raise RegistryError("the registry was opened without the key-encryption key")
        return self._kek

    def _data_key(self, who: str) -> bytes:
        """The subject's key; a fresh one for a new subject and for one that was erased and came back."""
        row = self._subject(who)
        if row is None or row.wrapped_key is None:
            with self._making:
                if made := self._make_data_key(who, row is not None):
                    return made
            row = self._subject(who)  # another process made it first
        if row is None or row.wrapped_key is None:
            raise RegistryError("the subject's key was erased meanwhile")
        return self._require_kek().unwrap(bytes(row.wrapped_key), _context(who))

    def _make_data_key(self, who: str, known: bool) -> bytes | None:
        """A fresh key, stored; None where another process was first. The caller holds the lock."""
        fresh = secrets.token_bytes(32)
        wrapped = self._require_kek().wrap(fresh, _context(who))
        query: sa.Insert | sa.Update = sa.insert(subjects).values(subject=who, wrapped_key=wrapped)
        if known:
            query = sa.update(subjects).where(subjects.c.subject == who, subjects.c.wrapped_key.is_(None))
            query = query.values(wrapped_key=wrapped)
        try:
            made = self._db.write("make a subject's key", lambda connection: connection.execute(query).rowcount)
        except IntegrityError:
            return None
        return fresh if made else None

    def _subject(self, who: str) -> sa.Row[tuple[str, bytes | None, int | None]] | None:
        with self._db.reading("read the vault") as connection:
            return connection.execute(sa.select(subjects).where(subjects.c.subject == who)).first()

    def _ref_key(self) -> bytes:
        query = sa.select(secrets_table.c.wrapped).where(secrets_table.c.name == _REF_KEY)
        with self._db.reading("read the vault") as connection:
            wrapped = connection.execute(query).scalar()
        if wrapped is None:
            with self._making, suppress(IntegrityError):
                sealed = self._require_kek().wrap(secrets.token_bytes(32), _context(_REF_KEY))
                first = sa.insert(secrets_table).values(name=_REF_KEY, wrapped=sealed)
                self._db.write("make the pseudonyms' key", lambda connection: connection.execute(first))
            with self._db.reading("read the vault") as connection:
                wrapped = connection.execute(query).scalar()
        return self._require_kek().unwrap(bytes(wrapped or b""), _context(_REF_KEY))


def _context(name: str) -> bytes:
    """Binds a wrapped key to whose it is, so that rows cannot be swapped."""
    return f"gensafe/registry/v1/{name}".encode()


def _seal(key: bytes, data: bytes, about: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data, about.encode())


def _unseal(key: bytes, sealed: bytes, about: str) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
    except (InvalidTag, ValueError):
        raise RegistryError("sealed data was altered") from None
