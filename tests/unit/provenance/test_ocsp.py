"""The OCSP response of the claim certificate: fetched when configured, kept, stapled; a revoked key signs nothing."""

import importlib.util
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from gensafe.core.clock import SystemClock
from gensafe.core.config import Config, GenerationConfig, SigningConfig, check_config
from gensafe.core.errors import ConfigError, SigningFailed
from gensafe.core.types import GenerationRequest, Modality
from gensafe.installation import Installation
from gensafe.keys import LocalClaimSigner, pki
from gensafe.pipeline import CallControl, open_chain, run
from gensafe.provenance import Exchange, ManifestState, OcspStaples, TrustList, TrustStore, read_asset, sign_asset

_spec = importlib.util.spec_from_file_location(
    "ocsp_responder", Path(__file__).parents[2] / "assets" / "ocsp_responder.py"
)
assets = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(assets)
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self):
        self.shift = timedelta()

    def now_ms(self):
        return SystemClock().now_ms() + int(self.shift.total_seconds() * 1000)


@pytest.fixture
def house():
    """(responder, chain, roots, signer)."""
    now = SystemClock().now_ms()
    root = pki.make_ca("ocsp root", now)
    middle = pki.make_ca("ocsp issuer", now, root, path_length=0)
    responder = assets.Responder(middle)
    with assets.serving(responder) as url:
        responder.leaf = assets.naming(pki.make_claim_leaf("ocsp signer", now, middle), middle, url)
        chain = responder.leaf.certificate_pem() + middle.certificate_pem()
        signer = LocalClaimSigner(responder.leaf.key, chain, development=False)
        yield responder, chain, root.certificate_pem(), signer


def staples(clock=None, required=True):
    return OcspStaples(Exchange(total_s=5), clock or SystemClock(), required=required)


@pytest.mark.parametrize("media_type", ["image/png", "audio/mpeg", "video/mp4", "text/plain", "application/json"])
@pytest.mark.parametrize("stamped", [True, False])
def test_a_staple_is_carried_and_reads_as_not_revoked(house, bench, samples, files, media_type, stamped):
    _, chain, root, signer = house
    trust = TrustStore((TrustList("own", root),), bench.trust.time_stamps)
    staple = staples().current(chain, root)
    data, manifest = sign_asset(
        files[media_type],
        media_type,
        samples.facts(),
        signer,
        bench.tsa if stamped else None,
        trust,
        staple=staple,
    )
    reading = read_asset(data, media_type, sidecar=None if manifest.embedded else manifest.data, trust=trust)
    assert reading.state is ManifestState.TRUSTED
    said = [s.explanation for s in reading.successes if s.code == "signingCredential.notRevoked"]
    assert len(said) == 1 and "OCSP" in said[0]
    assert (reading.time_stamp is not None) is stamped
    assert staple in manifest.data


def test_a_response_is_kept_and_renewed_half_way(house):
    responder, chain, root, _ = house
    clock = Clock()
    source = staples(clock)
    first = source.current(chain, root)
    assert source.current(chain, root) == first and responder.asked == 1
    clock.shift = HOUR + timedelta(minutes=1)  # it ends after two hours
    source.current(chain, root)
    assert responder.asked == 2 and source.problem == ""


def test_a_responder_that_fails_leaves_the_kept_response_until_its_end(house):
    responder, chain, root, _ = house
    clock = Clock()
    source = staples(clock)
    first = source.current(chain, root)
    responder.status, clock.shift = "down", HOUR + timedelta(minutes=1)
    assert source.current(chain, root) == first
    assert "HTTP status 503" in source.problem and not source.down
    clock.shift = 3 * HOUR
    with pytest.raises(SigningFailed, match=r"no OCSP response.*503"):
        source.current(chain, root)
    assert source.down
    asked = responder.asked
    with pytest.raises(SigningFailed):
        source.current(chain, root)
    assert responder.asked == asked  # left alone for a while
    responder.status, responder.now = "good", responder.now + 3 * HOUR
    clock.shift += timedelta(minutes=1)
    assert source.current(chain, root) not in (b"", first) and not source.down


def test_without_a_response_required_fails_and_try_goes_without(house):
    responder, chain, root, _ = house
    responder.status = "down"
    tried = staples(required=False)
    assert tried.current(chain, root) == b"" and tried.problem and not tried.down
    with pytest.raises(SigningFailed):
        staples().current(chain, root)


@pytest.mark.parametrize("required", [True, False])
def test_a_revoked_certificate_signs_nothing(house, required):
    responder, chain, root, _ = house
    responder.status, clock = "revoked", Clock()
    source = staples(clock, required=required)
    for responder.status in ("revoked", "down"):  # the responder's silence does not bring it back
        with pytest.raises(SigningFailed, match="the claim certificate is revoked"):
            source.current(chain, root)
        assert source.down
        clock.shift += timedelta(minutes=1)
    responder.status = "good"
    assert source.current(chain, root) and not source.down


def test_an_answer_that_proves_nothing_is_not_stapled(house):
    responder, chain, root, _ = house
    responder.by = pki.make_ca("ocsp issuer", SystemClock().now_ms())
    with pytest.raises(SigningFailed, match="not signed by the issuer"):
        staples().current(chain, root)
    responder.by, responder.status = responder.issuer, "unknown"
    with pytest.raises(SigningFailed, match="does not know the certificate"):
        staples().current(chain, root)


def test_a_certificate_without_an_address_is_said(bench):
    signer = bench.ring.claim_signer()
    with pytest.raises(SigningFailed, match="names no OCSP responder"):
        staples().current(signer.certificate_chain(), bench.ring.trust_anchors())


def test_an_unknown_choice_is_refused():
    with pytest.raises(ConfigError, match=r"signing\.ocsp"):
        check_config(Config(signing=SigningConfig(ocsp="yes")))


def test_the_chain_staples_and_stops_when_the_key_is_revoked(house, tmp_path):
    responder, chain, root, _ = house
    engine = GenerationConfig(backend="simulator")
    config = Config(data_dir=str(tmp_path), generation=engine, signing=SigningConfig(ocsp="required"))
    keys = Installation(config).open_keys()
    keys.import_claim(responder.leaf.key_pem(), chain, root)

    def make(opened):
        request = GenerationRequest(str(uuid.uuid4()), "a red circle", Modality.IMAGE)
        return list(run(opened, request, CallControl()))[-1]

    with open_chain(config) as opened:
        data = make(opened).recorded.signed.data
        reading = read_asset(data, "image/png", trust=opened.signing.trust())
        assert reading.has_success("signingCredential.notRevoked") and responder.asked == 1
    responder.status = "down"
    with pytest.raises(SigningFailed, match="no OCSP response"):
        open_chain(config)
    responder.status = "revoked"
    with pytest.raises(SigningFailed, match="is revoked"):
        open_chain(config)
