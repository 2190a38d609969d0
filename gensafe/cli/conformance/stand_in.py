"""Samples whose signer was revoked or has expired, under keys that are made for them and thrown away.

The operator's own key is neither revoked nor left to expire for a sample. So a second installation is made in a
temporary folder, with the same engines and policy and its own authorities, which nobody trusts:

1. an output under its first key, which is then revoked: never trusted again, whatever its time-stamp says
2. an output under a certificate that ends soon, time-stamped while it was valid: it stays proved after the end
3. wait for that end, then verify both
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from typing import Final

import gensafe.embedded
from gensafe.cli.conformance.pack import STAND_IN, Pack
from gensafe.cli.conformance.samples import anchors, suffix_of
from gensafe.cli.demo.scenario import PIECES
from gensafe.client import Output
from gensafe.core.clock import SystemClock
from gensafe.core.config import AuditConfig, Config, SigningConfig, StoreConfig
from gensafe.core.errors import GensafeError
from gensafe.core.types import Conclusion
from gensafe.installation import Installation
from gensafe.keys import KeyRing, pki
from gensafe.verify import open_context, verify_bytes

SPARE_S: Final = 10  # that the short certificate lives beyond three times what an output just took. Chosen by eye
NAME: Final = "GenSafe conformance stand-in, trusted by nobody"
PREFERRED: Final = ("image", "audio", "video", "text")


def make(pack: Pack, config: Config) -> None:
    """Make both samples of the first medium that an engine makes."""
    pack.say("samples under keys that are thrown away: a revoked and an expired signer")
    with tempfile.TemporaryDirectory(prefix="gensafe-conformance-") as folder:
        stand = replace(
            config,
            environment="development",
            data_dir=folder,
            signing=SigningConfig(),
            audit=AuditConfig(),
            store=StoreConfig(),
        )
        try:
            made = _outputs(pack, stand)
        except GensafeError as error:
            pack.omit("revoked and expired signers", error.message)
            return
        if made is None:
            pack.omit("revoked and expired signers", "no configured engine makes anything")
            return
        revoked, expired, ends = made
        pack.show("waiting for the short certificate to end", 0, 0)
        time.sleep(max(0.0, ends + 1.0 - time.time()))  # the end of a certificate is a whole second
        wanted = (Conclusion.FOUND_UNTRUSTED.value, Conclusion.PROVED.value)
        for kind, output, conclusion in zip(("revoked", "expired"), (revoked, expired), wanted, strict=True):
            _add(pack, stand, kind, output, conclusion)
        anchors(pack, "stand-in-", stand)


def _outputs(pack: Pack, stand: Config) -> tuple[Output, Output, float] | None:
    """An output under a key that is revoked by now, one under a certificate that ends soon, and when (s, Unix time)."""
    by_medium = {piece.modality.value: piece for piece in PIECES}
    with gensafe.embedded.open(stand) as here:
        piece = next((by_medium[m] for m in PREFERRED if here.engine(by_medium[m].modality)), None)
        if piece is None:
            return None
        prompt = piece.prompts.get(here.engine(piece.modality)) or piece.prompts[""]

        def generate() -> Output:
            return here.generate(prompt, piece.modality.value, seed=piece.seed, max_tokens=piece.max_tokens)

        keys = Installation(stand).open_keys()
        first = keys.claim_key().key_id
        pack.show("revoked", 0, 0)
        began = time.monotonic()
        revoked = generate()
        ends = _short_certificate(keys, 3 * (time.monotonic() - began) + SPARE_S)
        pack.show("expired", 0, 0)
        expired = generate()
    keys.refresh()
    keys.revoke(first, "a sample of a revoked signer")
    return revoked, expired, ends


def _short_certificate(keys: KeyRing, seconds: float) -> float:
    """Install a claim key whose certificate ends in ``seconds``; when that is (s, Unix time)."""
    now_ms = SystemClock().now_ms()
    past_ms = now_ms - int((timedelta(days=pki.LEAF_DAYS) - pki.BACKDATE).total_seconds() - seconds) * 1000
    root = pki.make_ca(f"{NAME}: root", past_ms)
    leaf = pki.make_claim_leaf(f"{NAME}: signer", past_ms, root)
    keys.import_claim(leaf.key_pem(), leaf.certificate_pem(), root.certificate_pem())
    return leaf.certificate.not_valid_after_utc.timestamp()


def _add(pack: Pack, stand: Config, kind: str, output: Output, wanted: str) -> None:
    """Verify as ``gensafe verify --data-dir`` does, and add the sample."""
    home = Installation(stand)
    medium = output.media_type.partition("/")[0]
    suffix = suffix_of(output.media_type)
    name = f"{medium}-{kind}-{suffix[1:]}"
    keys = home.read_keys()
    with home.open_registry(keys, readonly=True) as registry, home.read_log() as log:
        context = open_context(keys, registry=registry, log=log, tokenizers=home.tokenizers, lists=home.trust_lists())
        report = verify_bytes(output.data, name=f"{name}{suffix}", context=context)
    pack.add(
        name, kind, medium, f"{name}{suffix}", output.data, output.media_type, report, wanted=wanted, signer=STAND_IN
    )
