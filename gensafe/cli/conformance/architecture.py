"""The security architecture, section by section as the programme's template of version 0.2 numbers it.

Filled with what the configuration and the key ring say and what the code does. What only the operator knows is left
open and marked, and is repeated in the list of what is still to do.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from typing import Final

from gensafe import __version__
from gensafe.cli.conformance.pack import CONFIGURED, Pack
from gensafe.core.config import Config
from gensafe.core.config_check import NO_TIME_STAMP
from gensafe.core.postgres import SQLITE
from gensafe.keys import KeyRing, Role
from gensafe.provenance.types import SPEC_VERSION

PROGRAMME: Final = "0.2"
OPEN: Final = "**To be filled in by the applicant.**"


def render(pack: Pack, config: Config, keys: KeyRing) -> str:
    """The document, Markdown."""
    parts = [
        "# Security architecture of the generator product\n",
        f"Made by `gensafe conformance make` from the configuration in force; sections as in the template of programme "
        f"{PROGRAMME}. {OPEN[:-3]}** marks what the product cannot know.\n",
    ]
    for heading, lines in (
        ("1. Product", _product(pack, config)),
        ("2.1 O.1 Certificate enrolment", _enrolment(config, keys)),
        ("2.2 O.2 Confidentiality of the claim signing key", _claim_key(config, keys)),
        ("2.3 O.3 Protection of the claim generator", _software(pack)),
        ("2.4 O.4 Protection of assets and assertions", _assets(config)),
        ("2.5 O.5 Traffic between subsystems", _traffic(config)),
        ("2.6 O.6 Hosting environment", _hosting(config)),
    ):
        parts += [f"## {heading}\n", "".join(f"- {line}\n" for line in lines)]
    return "\n".join(parts)


def _product(pack: Pack, config: Config) -> Iterator[str]:
    yield f"1.1 Applicant: {OPEN} The configured provider is {config.provider!r}."
    yield f"1.2 Programme version: {PROGRAMME}. 1.3 Specification version: {SPEC_VERSION[:3]}."
    yield f"1.4 Distinguished name: {OPEN}"
    yield (
        "1.5 A self-hosted service that generates text, images, audio and video, passes every output through safety "
        "classifiers, watermarks it, signs it and logs it before it leaves."
    )
    yield (
        f"1.6 Target of evaluation: GenSafe {__version__} on Python {platform.python_version()}, {sys.platform} "
        f"({platform.machine()}); environment = {config.environment!r}. Engines run in processes of their own; "
        "strangers' files are decoded in a worker, under seccomp and Landlock where the system has them."
    )
    yield "1.7 Implementation class: Backend."
    yield f"1.8 Target assurance level: {OPEN}"
    made = sorted({s.media_type for s in pack.samples if s.signer == CONFIGURED and s.kind == "created"})
    inside = [t for t in made if not any(s.sidecar for s in pack.samples if s.media_type == t)]
    beside = [t for t in made if t not in inside]
    yield f"1.9 Claim generation, as sampled here: {', '.join(inside) or 'nothing'}."
    if beside:
        yield f"Signed by a sidecar, and so not claimed for the programme: {', '.join(beside)}."


def _enrolment(config: Config, keys: KeyRing) -> Iterator[str]:
    yield (
        "2.1.1 Certificates are not enrolled by the product: an administrator imports the chain with "
        "`gensafe keys import --chain CHAIN.pem --root ROOT.pem`, and the log keeps that as `key.rotated`. "
        "It holds no secret for enrolment. " + OPEN
    )
    yield f"2.1.2 (level 2) The product makes no artifact of a hardware root of trust that names its binaries. {OPEN}"
    if keys.development:
        yield "The active claim key is a development key: no authority certified it."


def _claim_key(config: Config, keys: KeyRing) -> Iterator[str]:
    info, signing = keys.claim_key(), config.signing
    held = "with that signer, outside this process"
    if signing.provider == "file":
        held = "in a PEM file" if signing.options else "in the key ring on disk"
    yield (
        f"2.2.1 (1) `[signing] provider = {signing.provider!r}`: the private key is {held}. "
        f"The certificate's SHA-256 is {info.public.removeprefix('sha256:')}."
    )
    sealed = "sealed with AES-256-GCM under a key derived by scrypt" if keys.sealed else "not sealed by a passphrase"
    yield (
        f"2.2.1 (2) Secrets of the key ring are files of mode 0600, {sealed}. Claim, checkpoint, watermark and "
        "key-encryption keys are separate."
    )
    if signing.provider == "file":
        yield (
            "2.2.1 (3) The claim key is in plain form in this process's memory while it runs. Programme 0.2 asks for "
            "encryption in volatile memory except in use; a signer elsewhere (pkcs11, aws-kms, http) meets that here."
        )
    had = sum(each.role is Role.CLAIM for each in keys.keys())
    yield (
        "2.2.1 (4) Rotation: import a new chain; a running server signs with it from the next request on. "
        f"Claim keys in this ring so far: {had}. When and how often: {OPEN}"
    )
    yield (
        "2.2.1 (5) Only bytes that the same request generated are signed; there is no call that signs an upload. "
        "A signing service is reached with TLS 1.3 and a client certificate, or on loopback."
    )
    yield (
        "Every claim signature is noted before it is made and named by a log entry after it; "
        "`gensafe audit reconcile` compares them with the signer's count."
    )
    yield f"2.2.2 and 2.2.3 (level 2) Key management environment and attestation of the calling client: {OPEN}"


def _software(pack: Pack) -> Iterator[str]:
    bill = f"`sbom.cdx.json` lists {pack.components} Python packages" if pack.components else "no SBOM is in this pack"
    yield f"2.3.1 (1) {bill}. Which scanner reads it, and when: {OPEN}"
    yield f"2.3.1 (2) Remediation within 90 days: {OPEN}"
    yield (
        "2.3.2 (level 2) Static analysis of the product's source in its CI: ruff with the rules of bandit, and mypy in "
        f"strict mode. Countermeasures of the interpreter and of native libraries, and patch recency: {OPEN}"
    )


def _assets(config: Config) -> Iterator[str]:
    authorities = config.signing.time_stamp
    stamped = (
        f"by {len(authorities)} outside authorities"
        if authorities and authorities != (NO_TIME_STAMP,)
        else ("by the key ring's own development authority" if not authorities else "not time-stamped")
    )
    yield (
        "An output leaves only after: policy verdict, marks embedded and detected again on the final bytes, signature "
        f"verified on the final bytes, log entry durable. Claims are time-stamped: {stamped}."
    )
    yield f"The OCSP response of the claim certificate is stapled: `[signing] ocsp = {config.signing.ocsp!r}`."
    policy = config.safety.policy or "the built-in one"
    yield f"Assertions are made by the product alone: model, verdict digest and policy digest (policy: {policy})."
    yield f"2.4.1 Scanning and remediation of content-processing software: as 2.3.1. {OPEN}"
    yield f"2.4.2 (level 2) Separate users of the operating system for content-processing processes: {OPEN}"


def _traffic(config: Config) -> Iterator[str]:
    server = config.server
    for name, address in (("gRPC", server.listen), ("HTTP", server.http)):
        if not address:
            yield f"{name}: off."
        elif server.tls_certificate:
            callers = "with client certificates" if server.tls_client_ca else "without client certificates"
            yield f"2.5.1 {name} on {address}: TLS 1.3 at least, {callers}."
        else:
            yield f"2.5.1 {name} on {address}: no TLS; the server refuses to start so on any address but loopback."
    addresses = [a for a in config.signing.time_stamp if a != NO_TIME_STAMP]
    asked = "" if config.signing.ocsp == "off" else " The responder that the certificate names is asked (OCSP)."
    yield f"Time-stamp authorities: {', '.join(addresses) or 'none'}.{asked} Others: remote engines, if any."
    for part, place in (("log", config.store.log), ("registry", config.store.registry)):
        yield f"Store of the {part}: {'a file in the data directory' if place == SQLITE else 'PostgreSQL'}."
    yield f"2.5.2 (level 2) Isolation of processes that carry assets: {OPEN}"


def _hosting(config: Config) -> Iterator[str]:
    server = config.server
    ways = [
        name
        for name, given in (
            ("client certificates", server.tls_client_map),
            ("API keys in a file", server.api_keys),
            ("managed API keys", server.managed_keys),
            ("tokens of an OIDC issuer", server.oidc.issuer),
        )
        if given
    ]
    yield (
        f"2.6.1 (1, 2) Callers are known by: {', '.join(ways) or 'nothing (anonymous, loopback only)'}. Each identity "
        "has a tenant and roles (docs/access.md). Human access to the machine: " + OPEN
    )
    yield f"2.6.1 (3) Policies of the cloud, where there is one: {OPEN}"
    yield f"2.6.1 (4, 5) Scanning, review against the OWASP Top 10, and remediation times: {OPEN}"
    yield (
        "2.6.2 (level 2) Changes of keys, policy and access, decisions of reviewers and releases are entries of an "
        "append-only log (RFC 6962) that `gensafe audit verify` checks without the service. Intrusion detection, "
        f"network segmentation and the attached reports A to C: {OPEN}"
    )
