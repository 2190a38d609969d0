"""The key ring's index: which keys exist, in which role and state. No secrets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from gensafe.core.errors import KeyError_

FORMAT = 1  # of the file; raised when older programs could misread it


class Role(StrEnum):
    """What a key is for; no key has two roles."""

    CLAIM = "claim"  # C2PA claim signing
    TSA = "tsa"  # time-stamps on claims
    CHECKPOINT = "checkpoint"  # log checkpoints, Ed25519
    WATERMARK = "watermark"  # master secret of one watermark epoch
    KEK = "kek"  # wraps data keys


class State(StrEnum):
    """Retired keys still verify, unwrap and detect; revoked keys do none of it."""

    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """One key of the ring. ``public`` is a fingerprint (claim, tsa), the raw public key in hex, or ""."""

    key_id: str  # 16 hex digits
    role: Role
    state: State
    created_ms: int
    development: bool
    public: str = ""
    epoch: int = 0  # watermark keys only
    changed_ms: int = 0
    reason: str = ""  # why it was revoked
    external: bool = False  # claim keys only: the private half is held by a signer (HSM, KMS, service), not here
    committed: int = -1  # watermark keys only: the log entry that holds the commitment to this key
    disclosed_ms: int = 0  # watermark keys only: when the key was published in the log; 0 = it is secret

    @property
    def secret_name(self) -> str:
        """File of the private half."""
        return f"{self.role.value}-{self.key_id}.key"


@dataclass(frozen=True, slots=True)
class Index:
    """All keys in order of creation, with the ring's log origin and the passphrase salt ("" = not sealed)."""

    origin: str
    salt: str
    keys: tuple[KeyInfo, ...]

    def of(self, role: Role, *states: State) -> tuple[KeyInfo, ...]:
        """Keys of ``role`` in any of ``states`` (default: not revoked), oldest first."""
        wanted = states or (State.ACTIVE, State.RETIRED)
        return tuple(k for k in self.keys if k.role is role and k.state in wanted)

    def active(self, role: Role) -> KeyInfo | None:
        """The one active key of ``role``."""
        found = self.of(role, State.ACTIVE)
        return found[-1] if found else None

    def add(self, info: KeyInfo) -> Index:
        """Append an active key; the former active key of its role is retired."""
        kept = tuple(
            replace(k, state=State.RETIRED, changed_ms=info.created_ms)
            if k.role is info.role and k.state is State.ACTIVE
            else k
            for k in self.keys
        )
        return replace(self, keys=(*kept, info))

    def to_json(self) -> bytes:
        """Render for the disk."""
        document = {"format": FORMAT, **asdict(self)}
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def parse_index(data: bytes) -> Index:
    """Inverse of ``Index.to_json``.

    Raises:
        KeyError_: damaged, or of a newer format.
    """
    try:
        document = json.loads(data)
        if document.pop("format") != FORMAT:
            raise KeyError_("the key ring is of a format this version does not know", fix="upgrade gensafe")
        keys = tuple(
            KeyInfo(**{**item, "role": Role(item["role"]), "state": State(item["state"])})
            for item in document.pop("keys")
        )
        return Index(keys=keys, **document)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise KeyError_("the key ring's index (keyring.json) is damaged", fix="restore it from a backup") from None
