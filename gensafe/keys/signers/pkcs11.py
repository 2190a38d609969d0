"""``provider = "pkcs11"``: the claim key stays in a hardware module, a smart card or SoftHSM.

Speaks PKCS #11 (OASIS, version 2.40) through the library python-pkcs11; the extra ``gensafe[pkcs11]`` installs it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from typing import Any, Final

from gensafe.core.errors import ConfigError, SigningFailed
from gensafe.core.ports import ClaimSigner
from gensafe.keys.signers.checked import CheckedSigner, read_option, take_options

_DIGESTS: Final = {"es256": "sha256", "es384": "sha384", "es512": "sha512"}


def create(options: Mapping[str, str]) -> ClaimSigner:
    """Open the token and find the key.

    Options: ``module`` (the vendor's library), ``token`` (its label), ``key`` (the key's label) or ``key_id`` (hex),
    ``chain`` (PEM), and ``pin_file`` or ``pin_env`` (a file or variable that holds the user PIN).

    Raises:
        ConfigError: missing or unknown options, or the library is not installed.
        KeyError_: unreadable certificates.
        SigningFailed: no such module, token or key, or a wrong PIN.
    """
    options = take_options(options, {"module", "token", "chain"}, {"key", "key_id", "pin_file", "pin_env"})
    if not ("key" in options or "key_id" in options):
        raise ConfigError("is needed", field="signing.options.key", fix="the key's label, or key_id in hex")
    token = Token(options)
    signer = CheckedSigner(read_option(options, "chain"), token.sign)
    token.open()  # a missing token stops the start, not the first request
    return signer


class Token:
    """One session with one token, for one thread at a time; opened when needed, dropped when it fails."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._session: Any = None
        self._key: Any = None
        self._library = _library()

    def open(self) -> None:
        """Open the session and find the key.

        Raises:
            SigningFailed: it cannot be had.
        """
        with self._lock:
            self._guarded(self._open)

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Sign ``data``; raw r||s for ECDSA.

        Raises:
            SigningFailed: the token refused, or is not present.
        """
        with self._lock:
            signature: bytes = self._guarded(lambda: self._sign(data, algorithm))
            return signature

    def _guarded(self, work: Any) -> Any:  # noqa: ANN401 - what the library returns
        try:
            return work()
        except self._library.PKCS11Error as error:
            self._drop()
            said = str(error) or type(error).__name__
            raise SigningFailed(f"the PKCS #11 token {self._options['token']!r}: {said}") from error
        except (RuntimeError, OSError) as error:
            self._drop()
            raise SigningFailed(
                f"the PKCS #11 module cannot be used: {error}", field="signing.options.module"
            ) from error

    def _open(self) -> None:
        module = self._library.lib(self._options["module"])
        module.reinitialize()  # or a token that came back stays unseen: modules list their slots once
        token = module.get_token(token_label=self._options["token"])
        self._session = token.open(user_pin=self._pin())
        wanted: dict[str, Any] = {"object_class": self._library.ObjectClass.PRIVATE_KEY}
        if "key" in self._options:
            wanted["label"] = self._options["key"]
        if "key_id" in self._options:
            wanted["id"] = bytes.fromhex(self._options["key_id"])
        self._key = self._session.get_key(**wanted)

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        if self._key is None:
            self._open()
        mechanism = self._library.Mechanism
        if algorithm in _DIGESTS:
            digest = hashlib.new(_DIGESTS[algorithm], data).digest()
            return bytes(self._key.sign(digest, mechanism=mechanism.ECDSA))
        if algorithm == "ed25519":
            return bytes(self._key.sign(data, mechanism=mechanism.EDDSA))
        parameters = (mechanism.SHA256, self._library.MGF.SHA256, 32)
        return bytes(self._key.sign(data, mechanism=mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=parameters))

    def _pin(self) -> str:
        if "pin_file" in self._options:
            return read_option(self._options, "pin_file").decode("utf-8", "replace").strip()
        return os.environ.get(self._options.get("pin_env", ""), "")

    def _drop(self) -> None:
        session, self._session, self._key = self._session, None, None
        if session is not None:
            try:
                session.close()
            except Exception:  # noqa: S110 - the token is gone, and the session with it
                pass


def _library() -> Any:  # noqa: ANN401 - an optional library
    try:
        import pkcs11
    except ImportError:
        raise ConfigError(
            "python-pkcs11 is not installed", field="signing.provider", fix="pip install 'gensafe[pkcs11]'"
        ) from None
    return pkcs11
