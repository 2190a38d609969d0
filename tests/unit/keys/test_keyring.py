"""The key ring on a real disk."""

import os
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from gensafe.core.clock import FixedClock
from gensafe.core.errors import ConfigError, KeyError_
from gensafe.core.types import Modality
from gensafe.keys import KeyRing, Role, State, pki

NOW = 1_790_000_000_000
DAY = 86_400_000


@pytest.fixture
def ring(tmp_path):
    return KeyRing.open(tmp_path / "keys", clock=FixedClock(NOW))


def test_first_run_makes_every_role_marked_development(ring):
    assert {k.role for k in ring.keys()} == set(Role)
    assert all(k.development and k.state is State.ACTIVE for k in ring.keys())
    assert ring.development
    assert ring.claim_signer().development


def test_files_are_private(ring):
    for folder, _, names in os.walk(ring.directory):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        for name in names:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600


def test_reopening_finds_the_same_keys(ring):
    again = KeyRing.open(ring.directory, clock=FixedClock(NOW))
    assert again.keys() == ring.keys()
    assert again.origin == ring.origin
    assert again.watermark_key(Modality.IMAGE) == ring.watermark_key(Modality.IMAGE)


def test_claim_chain_verifies_and_signs(ring):
    signer = ring.claim_signer()
    leaf, intermediate = x509.load_pem_x509_certificates(signer.certificate_chain())
    root = x509.load_pem_x509_certificate(ring.trust_anchors())
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)
    signature = signer.sign(b"claim")
    assert signer.algorithm == "es256" and len(signature) == 64
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    public = leaf.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(der, b"claim", ec.ECDSA(SHA256()))


def test_leaf_follows_the_c2pa_profile(ring):
    leaf = x509.load_pem_x509_certificates(ring.claim_signer().certificate_chain())[0]
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and usage.value.content_commitment
    assert not usage.value.key_cert_sign
    eku = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert pki.CLAIM_SIGNING_EKU in list(eku)
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days <= 366


def test_signer_and_time_stamp_roots_are_apart(ring):
    assert ring.trust_anchors() != ring.tsa_anchors()
    credential = ring.tsa_credential()
    tsa = x509.load_pem_x509_certificates(credential.chain)[0]
    eku = tsa.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert eku.critical
    assert [o.dotted_string for o in eku.value] == ["1.3.6.1.5.5.7.3.8"]
    with pytest.raises(Exception, match=r"[Ii]ssuer|[Ss]ubject|name"):
        tsa.verify_directly_issued_by(x509.load_pem_x509_certificate(ring.trust_anchors()))


def test_checkpoint_key_signs(ring):
    signature = ring.checkpoint_private_key().sign(b"note")
    ring.checkpoint_public_key().verify(signature, b"note")


def test_watermark_keys_differ_by_medium_and_epoch(ring):
    keys = {ring.watermark_key(m) for m in Modality}
    assert len(keys) == 4 and {len(k) for k in keys} == {32}
    old = ring.watermark_key(Modality.IMAGE, 0)
    ring.rotate(Role.WATERMARK)
    assert ring.current_epoch == 1
    assert ring.watermark_epochs() == (1, 0)
    assert ring.watermark_key(Modality.IMAGE) != old
    assert ring.watermark_key(Modality.IMAGE, 0) == old


def test_watermark_epochs_end_at_sixteen(ring):
    for _ in range(15):
        ring.rotate(Role.WATERMARK)
    with pytest.raises(KeyError_, match="16 watermark epochs"):
        ring.rotate(Role.WATERMARK)


def test_revoked_epoch_is_gone_and_replaced(ring):
    (key,) = [k for k in ring.keys() if k.role is Role.WATERMARK]
    ring.revoke(key.key_id, "leaked")
    assert ring.current_epoch == 1
    with pytest.raises(KeyError_, match="epoch 0"):
        ring.watermark_key(Modality.IMAGE, 0)


def test_rotated_checkpoint_key_still_verifies(ring):
    old = ring.checkpoint_private_key()
    ring.rotate(Role.CHECKPOINT)
    first, second = ring.checkpoint_public_keys()
    first.verify(old.sign(b"x"), b"x")
    assert second.public_bytes_raw() == ring.checkpoint_public_key().public_bytes_raw()


def test_kek_unwraps_after_rotation_but_not_elsewhere(ring):
    wrapped = ring.kek().wrap(b"data key", b"record 1")
    ring.rotate(Role.KEK)
    assert ring.kek().unwrap(wrapped, b"record 1") == b"data key"
    with pytest.raises(KeyError_):
        ring.kek().unwrap(wrapped, b"record 2")
    with pytest.raises(KeyError_):
        ring.kek().unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"record 1")
    with pytest.raises(KeyError_, match="not in this key ring"):
        ring.kek().unwrap(b"", b"")


def test_claim_rotation_keeps_the_root_and_revocation_names_the_leaf(ring):
    before = ring.trust_anchors()
    old = next(k for k in ring.keys() if k.role is Role.CLAIM)
    ring.rotate(Role.CLAIM)
    assert ring.trust_anchors() == before
    assert ring.revoked_signers() == frozenset()
    ring.revoke(old.key_id, "lost laptop")
    assert ring.revoked_signers() == {old.public}
    with pytest.raises(KeyError_, match="no unrevoked key"):
        ring.revoke(old.key_id, "again")


def test_expiring_development_leaf_is_renewed(ring):
    later = KeyRing.open(ring.directory, clock=FixedClock(NOW + 360 * DAY))
    assert [k.state for k in later.keys() if k.role is Role.CLAIM] == [State.RETIRED, State.ACTIVE]


def test_production_refuses_development_keys(ring):
    with pytest.raises(KeyError_, match="development key"):
        KeyRing.open(ring.directory, environment="production")
    with pytest.raises(KeyError_, match="development key"):
        KeyRing.open(ring.directory, environment="production", create=False)


def test_production_ring_takes_an_outside_claim_key(tmp_path):
    ring = KeyRing.open(tmp_path / "prod", environment="production")
    with pytest.raises(KeyError_, match="no active claim key"):
        ring.claim_signer()
    assert ring.tsa_credential() is None and ring.trust_anchors() == b""
    root = pki.make_ca("corporate root", NOW)
    leaf = pki.make_claim_leaf("corporate signer", NOW, root)
    other = pki.make_claim_leaf("other", NOW, root)
    with pytest.raises(KeyError_, match="not for this key"):
        ring.import_claim(other.key_pem(), leaf.certificate_pem(), root.certificate_pem())
    with pytest.raises(KeyError_, match="not issued"):
        ring.import_claim(leaf.key_pem(), leaf.certificate_pem(), other.certificate_pem())
    ring.import_claim(leaf.key_pem(), leaf.certificate_pem(), root.certificate_pem())
    assert not ring.development
    assert ring.trust_anchors() == root.certificate_pem()
    with pytest.raises(KeyError_, match="certificate authority"):
        ring.rotate(Role.CLAIM)


def test_sealed_ring_needs_its_passphrase(tmp_path):
    ring = KeyRing.open(tmp_path / "k", passphrase=b"correct horse")
    key = ring.watermark_key(Modality.AUDIO)
    for path in (tmp_path / "k" / "secrets").iterdir():
        assert path.read_bytes().startswith(b"GSKEY1")
    assert KeyRing.open(tmp_path / "k", passphrase=b"correct horse").watermark_key(Modality.AUDIO) == key
    with pytest.raises(KeyError_, match="sealed"):
        KeyRing.open(tmp_path / "k").watermark_key(Modality.AUDIO)
    with pytest.raises(KeyError_, match="does not open"):
        KeyRing.open(tmp_path / "k", passphrase=b"wrong horse").watermark_key(Modality.AUDIO)


def test_clear_errors(tmp_path, ring):
    with pytest.raises(KeyError_, match="no key ring"):
        KeyRing.open(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(ConfigError, match="staging"):
        KeyRing.open(tmp_path, environment="staging")
    secret = next((ring.directory / "secrets").glob("kek-*"))
    secret.chmod(0o644)
    with pytest.raises(KeyError_, match="other users"):
        ring.kek()
    (ring.directory / "keyring.json").write_bytes(b'{"format": 1}')
    with pytest.raises(KeyError_, match="damaged"):
        KeyRing.open(ring.directory)
