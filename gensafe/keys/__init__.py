"""Keys: four separate roles, their history, and the development PKI. See docs/keys.md."""

from gensafe.keys.index import KeyInfo, Role, State
from gensafe.keys.kek import KeyEncryptionKey
from gensafe.keys.ring import KeyRing, TsaCredential
from gensafe.keys.signer import LocalClaimSigner

__all__ = ["KeyEncryptionKey", "KeyInfo", "KeyRing", "LocalClaimSigner", "Role", "State", "TsaCredential"]
