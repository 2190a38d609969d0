"""Keys whose private half is public. They must never sign, nor anchor trust, in production.

The digests are SHA-256 over the SubjectPublicKeyInfo of the certificates that the C2PA Rust SDK ships with its tests
(roots, intermediates and leaves; the private keys of the leaves are in its repository).
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gensafe.core.errors import KeyError_

PUBLIC_TEST_SPKI: Final = frozenset(
    {
        "09dd8527baf1a66cf0f040bda1b56866e4a8af6332d829f12936a2b599a7fbd5",
        "67d328b408a528e19671a2126648d4cf2aaf09afc44e86eedb211e887cb71bb6",
        "c703d9d689adf081e18712fdae1939da67c01c72751387cd4aa64f454b0714d7",
        "c346b342738f2148e4902f82f1dbf12a27a0f9fe028e1f5a71e383df13447337",
        "86edfa48c6edbaeb9406f967b736ce24ceddfcc66c75b4c4e78658374a00883d",
        "d54a8d9180abee90902d46087f17260e5fec213d11180e04eee60c6aa115a698",
        "045d9f87206c97d40f9818f6f7f64bafa57ba95d7afe9d712afa493d56c3c19c",
        "f9b85f6ccc4ebe2b5fa472333ea1561d4bad4548bf01485e152acbaf39c249e2",
        "b0e9d303900e61ddefa9df403ae929bc36163362c8e6cfb530310c382a21aa5d",
        "6d4b5d6e110271f65568490c649bfab1c13183a2d385fee8a9d90a83fc028f64",
        "bacf496d240ffe2acb49cc247b9aa8ce56ea2cdc6f49b9629e2dc0311410707b",
        "0c5decaa72b3844878478336adb90de15d9737776b13897e1637c388e2511121",
        "5e33f77f14cbc9342944280d914dfeafb2c33da4f07c39145e35d99e93d52025",
        "58ae7d89711e9e13df4eeb9603874b25bca8693dcc410137699327412ec34b5d",
        "2dc6855d8037519dd95178d7a2c517804270b42a50a0ab21735b0dcd3c0a8599",
        "2654471c9a115a5e3c8ad70d04b495434c432dd7bd8e543afac6ab1fadf6e304",
        "cfe63a61b19e0e603b1fadbc6d11226e73ebf5ecfbe575988c79d51ad32feeb9",
        "3512576b440177a9e6e47383f093b0fc388971490925324cfd6042e906baaa84",
        "063accc46e39094c78a4258d8b8212b0b3436d70ad8c3825db8733e526defc54",
        "cbe43a20a63be23fffc6f9d5a7de84f30df3ba5416ec55d2ce2a65d3a6429e34",
        "6891ad5dfaf116d35883a4fbc45f3fa9c0d143b57012a3101633dcc47d3365f1",
        "847cfd534fdcf3b73069296721157408098d1edbc0fb9e57c862c2bad215ffd9",
        "48989101a532566c2928e4b843d8df1a1abd054f25cb09e29de435bebbc70900",
        "ad6d7dc5be31d9e2fd21e7053b01defe72aabeee0c9012a581dc788c55e23439",
    }
)


def spki_digest(certificate: x509.Certificate) -> str:
    """SHA-256 (hex) over the certificate's SubjectPublicKeyInfo."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def is_public_test_key(certificate: x509.Certificate) -> bool:
    """Whether the certificate's key pair is one of the known public test keys."""
    return spki_digest(certificate) in PUBLIC_TEST_SPKI


def refuse_public_test_keys(chain: bytes) -> None:
    """Refuse a PEM chain that contains a public test key.

    Raises:
        KeyError_: it does, or the chain cannot be read.
    """
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise KeyError_("the certificate chain holds no readable PEM certificate", field="chain") from None
    for certificate in certificates:
        if is_public_test_key(certificate):
            name = certificate.subject.rfc4514_string()
            raise KeyError_(f"{name!r} is a public test key: anybody can sign with it", fix="use a key of your own")
