"""Make ``stamped.png`` and ``unstamped.png``: signed by a leaf that was valid for one minute only.

``python tests/assets/pki/make_expired.py`` replaces the files; the keys are thrown away. They show that an expired
certificate is accepted with a trusted time-stamp from its own time, and not without.
"""

import importlib.util
import time
from dataclasses import replace
from pathlib import Path

from gensafe.core.clock import FixedClock, SystemClock
from gensafe.keys import LocalClaimSigner, pki
from gensafe.provenance import LocalTimeStamper, TrustList, TrustStore, sign_asset

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("provenance_samples", HERE.parent / "provenance_samples.py")
samples = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(samples)

LIFE_S = 60


def main():
    clock = SystemClock()
    now = clock.now_ms()
    root = pki.make_ca("expiry test root", now)
    stamp_root = pki.make_ca("expiry test stamp root", now)
    stamps = pki.make_tsa_leaf("expiry test stamps", now, stamp_root)
    # a leaf never outlives its issuer here: end its term by issuing it a year (less a minute) ago
    past = FixedClock(now - pki.LEAF_DAYS * 86_400_000 + 300_000 + LIFE_S * 1000)
    old_root = pki.Issued(root.certificate, root.key)
    leaf = pki.make_claim_leaf("expiry test signer", past.now_ms(), old_root)
    signer = LocalClaimSigner(leaf.key, leaf.certificate_pem(), development=True)
    tsa = LocalTimeStamper(stamps.key, stamps.certificate_pem(), clock)
    trust = TrustStore((TrustList("own", root.certificate_pem()),), (TrustList("own", stamp_root.certificate_pem()),))
    picture = samples.image("PNG")
    for name, authority in (("stamped", tsa), ("unstamped", None)):
        facts = replace(samples.facts(), created_ms=now)
        data, _ = sign_asset(picture, "image/png", facts, signer, authority, trust)
        (HERE / f"{name}.png").write_bytes(data)
    (HERE / "root.pem").write_bytes(root.certificate_pem())
    (HERE / "stamp_root.pem").write_bytes(stamp_root.certificate_pem())
    print(f"leaf expires {leaf.certificate.not_valid_after_utc}; now {time.strftime('%H:%M:%S', time.gmtime())}")


if __name__ == "__main__":
    main()
