"""Production signing as a whole: a SoftHSM2 token, a time-stamp authority in another process, an imported chain.

Before, production could time-stamp nothing, could sign with a key on its own disk only, and went on signing with a
revoked key until it was restarted.
"""

import importlib.util
import os
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from gensafe.compliance.report import make_report
from gensafe.core.config import Config, GenerationConfig
from gensafe.core.errors import ConfigError, SigningFailed
from gensafe.core.types import Conclusion, GenerationRequest, Modality
from gensafe.core.types.stages import NOT_STAMPED
from gensafe.installation import PASSPHRASE_VARIABLE
from gensafe.keys import KeyRing, Role, pki
from gensafe.pipeline import CallControl, Released, open_chain, run
from gensafe.provenance.trust_lists import SIGNERS, TIME_STAMPS, TrustFolder, store_trust_list
from gensafe.server.health import Health, probe
from gensafe.verify import open_context, verify_bytes

ASSETS = Path(__file__).parents[2] / "assets"


def _asset(name):
    spec = importlib.util.spec_from_file_location(name, ASSETS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


soft_token, assets = _asset("soft_token"), _asset("production")
NOW, PASSPHRASE = assets.NOW, assets.PASSPHRASE


def make(chain):
    request = GenerationRequest(str(uuid.uuid4()), "a red circle", Modality.IMAGE)
    events = list(run(chain, request, CallControl()))
    return events[-1]


def verify(chain, released):
    folder = TrustFolder(Path(chain.config.data_dir))
    context = open_context(chain.keys, registry=chain.registry, log=chain.log, folder=folder, contained=False)
    return verify_bytes(released.recorded.signed.data, name="x", context=context)


@pytest.fixture
def production(tmp_path, monkeypatch):
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    return assets.Production(tmp_path)


@pytest.fixture
def authority(production):
    """The address of an authority in another process, and the process."""
    with production.authority() as running:
        yield running


@pytest.mark.skipif(not os.path.exists(soft_token.MODULE), reason="SoftHSM2 is not installed")
def test_token_outside_stamp_and_own_chain_are_proved_and_a_removed_token_releases_nothing(
    production, authority, monkeypatch
):
    token = soft_token.SoftToken(production.folder / "hsm", production.leaf.key_pem())
    monkeypatch.setenv("SOFTHSM2_CONF", token.environment["SOFTHSM2_CONF"])
    production.ring.import_claim(None, production.chain, production.root.certificate_pem())
    url, process = authority
    config = production.config(provider="pkcs11", options=token.options, time_stamp=(url,))
    with open_chain(config) as chain:
        released = make(chain)
        assert isinstance(released, Released)
        report = verify(chain, released)
        said = {check.name: check for check in report.checks}
        assert report.conclusion is Conclusion.PROVED
        assert "outside time-stamp authority" in said["time-stamp"].summary
        entry = next(e.entry for e in chain.log.entries() if e.entry["event"] == "generation.released")
        assert "outside time-stamp authority" in entry["timestamp"]
        assert chain.signing.problems() == () and not chain.signing.down

        token.remove()
        before = len(list(chain.log.entries()))
        with pytest.raises(SigningFailed, match="token 'gensafe'"):
            make(chain)
        assert "token 'gensafe'" in chain.signing.problems()[0] and chain.signing.down
        events = [e.entry["event"] for e in chain.log.entries()][before:]
        assert "generation.failed" in events and "generation.released" not in events
        state = Health()
        state.probed(probe(chain))  # it was ready while nothing could be signed
        assert not state.ready and state.can_log and "token 'gensafe'" in state.problems["signing"]
        token.bring_back()
        state.probed(probe(chain))  # nobody is sent here to show that it works again
        assert state.ready and not chain.signing.down
        assert isinstance(make(chain), Released)
        assert chain.signing.problems() == ()

        process.stdin.close()
        process.wait(10)
        with pytest.raises(SigningFailed, match="no time-stamp"):
            make(chain)
        assert chain.signing.down and "time-stamp authority" in " ".join(chain.signing.problems())


def test_production_without_stamps_says_so_in_every_record_and_report(production):
    production.ring.import_claim(production.leaf.key_pem(), production.chain, production.root.certificate_pem())
    with open_chain(production.config(time_stamp=("none",))) as chain:
        assert isinstance(make(chain), Released)
        entry = next(e.entry for e in chain.log.entries() if e.entry["event"] == "generation.released")
        assert entry["timestamp"] == NOT_STAMPED
        [found] = [f for d, f in make_report(chain.log, "eu-ai-act").findings if d.key == "eu-50-2-timestamped"]
        assert NOT_STAMPED in str(found)


def test_what_production_refuses_to_start_with(production, tmp_path):
    production.ring.import_claim(production.leaf.key_pem(), production.chain, production.root.certificate_pem())
    none = production.config(time_stamp=("none",))
    open_chain(none).close()
    unsealed = KeyRing.open(tmp_path / "clear" / "keys", environment="production")
    unsealed.import_claim(production.leaf.key_pem(), production.chain, production.root.certificate_pem())
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSPHRASE_VARIABLE)
        with pytest.raises(ConfigError, match="in the clear"):
            open_chain(replace(none, data_dir=str(tmp_path / "clear")))
        named = replace(none.signing, unsealed_keys=True)
        open_chain(replace(none, data_dir=str(tmp_path / "clear"), signing=named)).close()
    (production.data / "trust" / TIME_STAMPS / "outside.pem").unlink()
    with pytest.raises(ConfigError, match="which time-stamp authorities are trusted"):
        open_chain(production.config(time_stamp=("https://tsa.example/",)))


def test_keys_rotated_and_revoked_elsewhere_count_at_the_next_request(production):
    first = production.ring.import_claim(production.leaf.key_pem(), production.chain, production.root.certificate_pem())
    with open_chain(production.config(time_stamp=("none",))) as chain:
        old = make(chain)
        root = pki.make_ca("second root", NOW)
        leaf = pki.make_claim_leaf("second signer", NOW, root)
        elsewhere = KeyRing.open(
            production.data / "keys", environment="production", passphrase=PASSPHRASE.encode(), create=False
        )
        second = elsewhere.import_claim(leaf.key_pem(), leaf.certificate_pem(), root.certificate_pem())
        new = make(chain)
        assert new.recorded.signed.manifest.signer_fingerprint == pki.fingerprint(leaf.certificate)
        assert verify(chain, old).conclusion is verify(chain, new).conclusion is Conclusion.PROVED  # overlap
        elsewhere.revoke(first.key_id, "rehearsal")
        assert verify(chain, old).conclusion is not Conclusion.PROVED
        assert isinstance(make(chain), Released)
        elsewhere.revoke(second.key_id, "stolen")
        with pytest.raises(SigningFailed, match="no active claim key"):
            make(chain)
        assert chain.signing.down
        assert verify(chain, new).conclusion is not Conclusion.PROVED


def test_a_running_verifier_follows_the_trust_lists(production, files_of_a_stranger):
    data, root = files_of_a_stranger
    folder = TrustFolder(production.data)
    context = open_context(production.ring, folder=folder, contained=False)

    def trusted():
        return {c.name: c.outcome.value for c in verify_bytes(data, name="x", context=context).checks}["signer trust"]

    assert trusted() != "pass"
    store_trust_list(production.data, SIGNERS, "stranger", root)
    assert trusted() == "pass"
    path = production.data / "trust" / SIGNERS / "stranger.pem"
    path.write_bytes(b"no certificate")
    assert trusted() == "pass" and "not in force" in folder.problem  # what cannot be read changes nothing
    path.unlink()
    assert trusted() != "pass" and folder.problem == ""


@pytest.fixture
def files_of_a_stranger(tmp_path):
    """(a signed picture, its root) of another installation."""
    config = Config(data_dir=str(tmp_path / "other"), generation=GenerationConfig(backend="simulator"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSPHRASE_VARIABLE, raising=False)
        with open_chain(config) as chain:
            released = make(chain)
            return released.recorded.signed.data, chain.keys.trust_anchors()


def test_rotating_a_production_time_stamp_key_says_what_to_do(production):
    """It sent operators to ``keys import``, which imports no time-stamp key."""
    with pytest.raises(Exception, match="outside authorities") as caught:
        production.ring.rotate(Role.TSA)
    assert "[signing] time_stamp" in caught.value.fix
