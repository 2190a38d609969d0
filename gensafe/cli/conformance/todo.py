"""What is left for the operator: from what this installation lacks, and from what no product can do for its owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gensafe.cli.conformance.pack import Pack
from gensafe.core.config import Config
from gensafe.core.config_check import NO_TIME_STAMP
from gensafe.keys import KeyRing

ALWAYS: Final = (
    "Apply: expression of interest, legal agreement, intake form. Only a company's listed product gets a certificate.",
    "Copy `security-architecture.md` into the programme's own template, which it asks for, and fill in what is marked.",
    "O.1: agree with the authority how certificates are enrolled; the product only imports them.",
    "O.3, O.4: scan the SBOM regularly, and write down the policy that mends CRITICAL and HIGH findings in 90 days.",
    "O.6: write down who may reach the machine, its storage and its keys; review the API against the OWASP Top 10.",
    "Level 2 only: hardware-backed attestation, intrusion detection, network segmentation, and the reports A to C.",
)


def items(pack: Pack, config: Config, keys: KeyRing) -> Iterator[str]:
    """Each in a sentence or two; what this installation lacks comes first."""
    if config.environment != "production":
        yield 'This is a development installation. Set `environment = "production"` and make the pack again.'
    if keys.development:
        yield "The samples are signed by a development key. Import the one your authority certified (docs/keys.md)."
    if config.signing.provider == "file":
        yield (
            "O.2: the claim key lies in plain form in this process's memory. With `[signing] provider` pkcs11, aws-kms "
            "or http it is used elsewhere (docs/signing.md)."
        )
    if not keys.sealed:
        yield "O.2: the key ring is not sealed. Make a new one with `GENSAFE_KEY_PASSPHRASE` set."
    if not config.signing.time_stamp or config.signing.time_stamp == (NO_TIME_STAMP,):
        yield "No outside authority stamps the time: name one that the programme's time-stamp list trusts."
    if not config.server.tls_certificate:
        yield "O.5: no TLS is configured. Callers on other machines need it; the server refuses them without."
    if not (
        config.server.tls_client_map
        or config.server.api_keys
        or config.server.managed_keys
        or config.server.oidc.issuer
    ):
        yield "O.6: callers are anonymous. Give them keys, certificates or tokens (docs/access.md)."
    for each in pack.omissions:
        yield f"Not in this pack: {each.what}: {each.reason}."
    for sentence in pack.unexpected():
        yield f"Came out otherwise than it must: {sentence}."
    yield from ALWAYS
