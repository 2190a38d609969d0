"""The key ring: a directory with one key per role, its history, and the public halves others verify with.

    keyring.json              index: roles, states, dates; no secrets
    secrets/ROLE-ID.key       private halves (0600; sealed when a passphrase is set)
    public/ROLE-ID.chain.pem  certificates, leaf first; public/ROLE-ID.root.pem their root

Roles are separate on purpose: whoever steals the checkpoint key cannot sign a claim, and a leaked watermark epoch
reveals no other epoch. On first run development keys are made; production refuses them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gensafe.core.clock import SystemClock
from gensafe.core.errors import ConfigError, KeyError_
from gensafe.core.ports import ClaimSigner, Clock
from gensafe.keys import development, pki
from gensafe.keys.development import IMPORT, not_made_in_production, refuse_development
from gensafe.keys.disk import locked, read_index
from gensafe.keys.epochs import WatermarkEpochs
from gensafe.keys.index import Index, KeyInfo, Role, State
from gensafe.keys.kek import KeyEncryptionKey
from gensafe.keys.signer import LocalClaimSigner, PrivateKey, check_chain, load_chain, load_private_key
from gensafe.keys.testkeys import refuse_public_test_keys
from gensafe.keys.vault import SALT_BYTES, Vault, open_vault, write_file

EPOCHS: Final = 16  # the watermark payload has 4 bits for the epoch
ENVIRONMENTS: Final = ("development", "production")
_RENEW_MS: Final = 30 * 86_400_000  # development leaves are renewed this long before they expire


@dataclass(frozen=True, slots=True)
class TsaCredential:
    """What a local time-stamp authority signs with. ``chain``: PEM, leaf first, without the root."""

    key: ec.EllipticCurvePrivateKey
    chain: bytes
    development: bool


class KeyRing(WatermarkEpochs):
    """All keys of one installation. Make one with ``KeyRing.open``; safe to share between threads."""

    def __init__(self, directory: Path, environment: str, index: Index, vault: Vault, clock: Clock) -> None:
        super().__init__(directory, index, vault)
        self.environment = environment
        self._clock = clock

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        environment: str = "development",
        create: bool = True,
        passphrase: bytes | None = None,
        origin: str = "",
        clock: Clock | None = None,
    ) -> KeyRing:
        """Open a key ring, making what is missing.

        Args:
            directory: Folder of the ring; made 0700.
            environment: "development" makes a development PKI; "production" refuses development keys, makes only
                the keys that need no outside authority, and expects ``import_claim`` for the rest.
            create: False = never write; a missing ring is an error (verifiers).
            passphrase: Seals secrets at rest (at least 8 bytes); must be given again on every open.
            origin: Log origin of a new ring; default "gensafe.local/<8 hex>".
            clock: For tests.

        Raises:
            ConfigError: unknown environment.
            KeyError_: unreadable, damaged, sealed, or development keys in production.
        """
        if environment not in ENVIRONMENTS:
            raise ConfigError(f"{environment!r} is not one of {', '.join(ENVIRONMENTS)}", field="environment")
        clock = clock or SystemClock()
        path = directory / "keyring.json"
        if not create:
            index = read_index(path)
            refuse_development(index, environment)
            return cls(directory, environment, index, open_vault(directory / "secrets", index.salt, passphrase), clock)
        with locked(directory):
            if path.exists():
                index = read_index(path)
            else:
                salt = secrets.token_hex(SALT_BYTES) if passphrase is not None else ""
                index = Index(origin or f"gensafe.local/{secrets.token_hex(4)}", salt, ())
            ring = cls(directory, environment, index, open_vault(directory / "secrets", index.salt, passphrase), clock)
            refuse_development(index, environment)
            ring._fill()
        return ring

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def origin(self) -> str:
        """Name of the log and of its checkpoint key (signed-note key name)."""
        return self._index.origin

    @property
    def development(self) -> bool:
        """Whether claims are signed by a development key."""
        active = self._index.active(Role.CLAIM)
        return active is None or active.development

    @property
    def claimless(self) -> bool:
        """Whether nothing can be signed: there is no active claim key."""
        return self._index.active(Role.CLAIM) is None

    @property
    def sealed(self) -> bool:
        """Whether private keys are encrypted at rest under a passphrase."""
        return bool(self._index.salt)

    def refresh(self) -> bool:
        """Take over what another process (``gensafe keys``) changed; True where something did.

        Raises:
            KeyError_: the index cannot be read; the ring stays as it was.
        """
        new = read_index(self.directory / "keyring.json")
        if new == self._index:
            return False
        self._index = new
        return True

    def claim_key(self) -> KeyInfo:
        """The active claim key, whoever holds its private half.

        Raises:
            KeyError_: there is none.
        """
        return self._need(Role.CLAIM, IMPORT)

    def claim_chain_path(self) -> Path:
        """Where the active claim key's certificates lie (PEM, leaf first)."""
        return self._public_path(self.claim_key(), "chain")

    def keys(self) -> tuple[KeyInfo, ...]:
        """Every key this ring ever had, oldest first."""
        return self._index.keys

    def claim_signer(self) -> ClaimSigner:
        """The active claim signer.

        Raises:
            KeyError_: there is none, or its key cannot be read.
        """
        info = self.claim_key()
        if info.external:
            raise KeyError_(
                "the private half of the active claim key is held by a signer",
                field="signing.provider",
                fix="name the signer, for example pkcs11 or http",
            )
        key = self._private(info)
        return LocalClaimSigner(key, self._public(info, "chain"), development=info.development)

    def trust_anchors(self) -> bytes:
        """PEM roots of this ring's own claim signers, past and present; development roots never in production."""
        return self._roots(Role.CLAIM)

    def tsa_anchors(self) -> bytes:
        """PEM roots of this ring's own time-stamp authority; empty when there is none."""
        return self._roots(Role.TSA)

    def revoked_signers(self) -> frozenset[str]:
        """Fingerprints ("sha256:<hex>") of claim-signing leaves that were revoked."""
        return frozenset(k.public for k in self._index.of(Role.CLAIM, State.REVOKED))

    def tsa_credential(self) -> TsaCredential | None:
        """The local time-stamp authority, or None when the ring has none (production uses an outside one)."""
        info = self._index.active(Role.TSA)
        if info is None:
            return None
        key = cast(ec.EllipticCurvePrivateKey, self._private(info))
        return TsaCredential(key, self._public(info, "chain"), info.development)

    def checkpoint_private_key(self) -> Ed25519PrivateKey:
        """The key that signs log checkpoints."""
        info = self._need(Role.CHECKPOINT, "gensafe keys init")
        return Ed25519PrivateKey.from_private_bytes(self._vault.load(info.secret_name))

    def checkpoint_public_key(self) -> Ed25519PublicKey:
        """The active checkpoint key's public half; reads no secret."""
        info = self._need(Role.CHECKPOINT, "gensafe keys init")
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(info.public))

    def checkpoint_public_keys(self) -> tuple[Ed25519PublicKey, ...]:
        """Public halves of every checkpoint key that was not revoked, oldest first."""
        infos = self._index.of(Role.CHECKPOINT)
        return tuple(Ed25519PublicKey.from_public_bytes(bytes.fromhex(k.public)) for k in infos)

    def checkpoint_signers(self) -> tuple[Ed25519PublicKey, ...]:
        """Public halves of every checkpoint key there ever was: who may have signed the head of our own log.

        For the log's writer, which signs it anew; for everybody else a revoked key proves nothing.
        """
        infos = [k for k in self._index.keys if k.role is Role.CHECKPOINT]
        return tuple(Ed25519PublicKey.from_public_bytes(bytes.fromhex(k.public)) for k in infos)

    @property
    def kek_id(self) -> str:
        """Id of the active key-encryption key; reads no secret."""
        return self._need(Role.KEK, "gensafe keys init").key_id

    def active(self, role: Role) -> KeyInfo | None:
        """The active key of a role."""
        return self._index.active(role)

    def kek(self) -> KeyEncryptionKey:
        """The key-encryption key, with its retired forerunners for unwrapping."""
        current = self._need(Role.KEK, "gensafe keys init")
        held = {k.key_id: self._vault.load(k.secret_name) for k in self._index.of(Role.KEK)}
        return KeyEncryptionKey(current.key_id, held)

    # --- changing ------------------------------------------------------------------------------------------------

    def rotate(self, role: Role) -> KeyInfo:
        """Make a new active key of ``role``; the old one is retired and keeps verifying.

        Raises:
            KeyError_: claim or tsa keys in production (they come from outside), or all watermark epochs are used.
        """
        with locked(self.directory):
            self._reload()
            return self._make(role)

    def revoke(self, key_id: str, reason: str) -> KeyInfo:
        """Withdraw a key permanently. An active key is replaced at once where the ring can make one itself.

        Raises:
            KeyError_: no such key, or already revoked.
        """
        with locked(self.directory):
            self._reload()
            info = next((k for k in self._index.keys if k.key_id == key_id and k.state is not State.REVOKED), None)
            if info is None:
                raise KeyError_(f"there is no unrevoked key {key_id}", field="key_id", fix="gensafe keys list")
            revoked = replace(info, state=State.REVOKED, changed_ms=self._clock.now_ms(), reason=reason)
            keys = tuple(revoked if k is info else k for k in self._index.keys)
            self._save(replace(self._index, keys=keys))
            was_active = info.state is State.ACTIVE
            if was_active and (self.environment == "development" or info.role not in (Role.CLAIM, Role.TSA)):
                self._make(info.role)
            return revoked

    def import_claim(
        self, key_pem: bytes | None, chain_pem: bytes, root_pem: bytes, key_passphrase: bytes | None = None
    ) -> KeyInfo:
        """Install a claim key that an outside CA certified; it becomes the active one.

        Args:
            key_pem: Private key, PKCS#8 PEM; None = a signer holds it (``[signing] provider``).
            chain_pem: Certificates, leaf first, without the root.
            root_pem: The root the chain ends in.
            key_passphrase: Of ``key_pem``, where it is encrypted.

        Raises:
            KeyError_: key and chain do not belong together, the chain does not end in the root, or a public test key.
        """
        if self.environment == "production":
            refuse_public_test_keys(chain_pem + root_pem)
        chain = load_chain(chain_pem)
        plain = None
        if key_pem is not None:
            key = load_private_key(key_pem, key_passphrase)
            LocalClaimSigner(key, chain_pem, development=False)  # checks that the leaf is for the key
            plain = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        check_chain(chain, root_pem)
        info = self._info(Role.CLAIM, public=pki.fingerprint(chain[0]), development=False)
        info = replace(info, external=plain is None)
        with locked(self.directory):
            self._reload()
            self._install(info, plain, chain_pem, root_pem)
        return info

    # --- inside --------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Make the missing keys, and renew a development leaf that is about to expire."""
        for role in Role:
            if role in (Role.CLAIM, Role.TSA) and self.environment == "production":
                continue
            active = self._index.active(role)
            if active is None:
                self._make(role)
            elif role is Role.CLAIM and active.development:
                leaf = x509.load_pem_x509_certificates(self._public(active, "chain"))[0]
                if leaf.not_valid_after_utc.timestamp() * 1000 - self._clock.now_ms() < _RENEW_MS:
                    self._make(role)

    def _make(self, role: Role) -> KeyInfo:
        """Make, store and activate one key. The caller holds the lock."""
        if role in (Role.CLAIM, Role.TSA):
            if self.environment == "production":
                raise not_made_in_production(role)
            made = development.issue(role, self.directory / "public", self._vault, self._clock.now_ms())
            info = self._info(role, public=pki.fingerprint(made.leaf.certificate), development=True)
            self._install(info, made.leaf.key_pem(), made.chain, made.root)
            return info
        if role is Role.CHECKPOINT:
            key = Ed25519PrivateKey.generate()
            info = self._info(role, public=key.public_key().public_bytes_raw().hex())
            self._install(info, key.private_bytes_raw())
            return info
        epoch = 0
        if role is Role.WATERMARK:
            epoch = 1 + max((k.epoch for k in self._index.keys if k.role is role), default=-1)
            if epoch >= EPOCHS:
                raise KeyError_(f"all {EPOCHS} watermark epochs are used", fix="start a new key ring and registry")
        info = replace(self._info(role), epoch=epoch)
        self._install(info, secrets.token_bytes(32))
        return info

    def _info(self, role: Role, *, public: str = "", development: bool | None = None) -> KeyInfo:
        development = self.environment == "development" if development is None else development
        return KeyInfo(secrets.token_hex(8), role, State.ACTIVE, self._clock.now_ms(), development, public)

    def _install(self, info: KeyInfo, secret: bytes | None, chain: bytes = b"", root: bytes = b"") -> None:
        """Secret and certificates first, index last: a crash between leaves an unused file, never a dangling entry."""
        if secret is not None:
            self._vault.store(info.secret_name, secret)
        if chain:
            write_file(self._public_path(info, "chain"), chain)
            write_file(self._public_path(info, "root"), root)
        self._save(self._index.add(info))

    def _private(self, info: KeyInfo) -> PrivateKey:
        return load_private_key(self._vault.load(info.secret_name))

    def _public(self, info: KeyInfo, kind: str) -> bytes:
        path = self._public_path(info, kind)
        try:
            return path.read_bytes()
        except OSError as error:
            raise KeyError_(f"cannot read {path}: {error.strerror}") from None

    def _public_path(self, info: KeyInfo, kind: str) -> Path:
        return self.directory / "public" / f"{info.role.value}-{info.key_id}.{kind}.pem"

    def _roots(self, role: Role) -> bytes:
        infos = self._index.of(role)
        if self.environment == "production":
            infos = tuple(k for k in infos if not k.development)
        return b"".join(dict.fromkeys(self._public(k, "root") for k in infos))
