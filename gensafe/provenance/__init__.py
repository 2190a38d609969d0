"""C2PA provenance: sign outputs, read manifests, judge trust. See docs/verification.md."""

from gensafe.provenance.a8 import A8Wrapper, TextWrapperInvalid, parse_a8, strip_a8, wrap_a8
from gensafe.provenance.authorities import OutsideTimeStamper
from gensafe.provenance.c2pa_adapter import RemoteManifest
from gensafe.provenance.exchange import Exchange
from gensafe.provenance.judge import hard_binding_holds
from gensafe.provenance.ocsp import OcspStaples
from gensafe.provenance.read import read_asset, read_store
from gensafe.provenance.sign import IN_BAND, sign_asset
from gensafe.provenance.trust import TrustList, TrustStore, import_trust_list
from gensafe.provenance.tsa import LocalTimeStamper, TimeStamper
from gensafe.provenance.types import ClaimFacts, InputFact, ManifestReading, ManifestState

__all__ = [
    "IN_BAND",
    "A8Wrapper",
    "ClaimFacts",
    "Exchange",
    "InputFact",
    "LocalTimeStamper",
    "ManifestReading",
    "ManifestState",
    "OcspStaples",
    "OutsideTimeStamper",
    "RemoteManifest",
    "TextWrapperInvalid",
    "TimeStamper",
    "TrustList",
    "TrustStore",
    "hard_binding_holds",
    "import_trust_list",
    "parse_a8",
    "read_asset",
    "read_store",
    "sign_asset",
    "strip_a8",
    "wrap_a8",
]
